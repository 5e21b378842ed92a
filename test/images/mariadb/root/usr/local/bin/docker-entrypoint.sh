#!/bin/sh
# Makes the database on the first start, as the official image does, then runs what it is told to.
set -eu

data=/var/lib/mysql

# setting NAME: the value of MARIADB_NAME or MYSQL_NAME, or of the file that ..._FILE names
setting() {
  for prefix in MARIADB MYSQL; do
    eval "value=\${${prefix}_$1:-} file=\${${prefix}_$1_FILE:-}"
    [ -z "$file" ] || value=$(cat "$file")
    [ -z "$value" ] || break
  done
  printf %s "$value"
}

# hex: the bytes as digits, so that SQL cannot misread any of them
hex() {
  od -An -v -tx1 | tr -d ' \n'
}

# SQL expressions. text HEX, password_hash HEX
text() {
  echo "CONVERT(UNHEX('$1') USING utf8mb4)"
}
password_hash() {
  echo "CONCAT('*', UPPER(SHA1(UNHEX(SHA1(UNHEX('$1'))))))"
}

# account CREATE-OR-ALTER NAME-AS-HEX HOST PASSWORD-AS-HEX
account() {
  identified=''
  [ -z "$4" ] || identified=", ' IDENTIFIED BY PASSWORD ', QUOTE($(password_hash "$4"))"
  echo "EXECUTE IMMEDIATE CONCAT('$1 USER ', QUOTE($(text "$2")), '@''$3'''$identified);"
}

# first_sql ROOT-PASSWORD-AS-HEX
first_sql() {
  root=$(printf root | hex) name=$(setting DATABASE | hex) user=$(setting USER | hex)
  # mariadb-install-db also lets root in from the machine it ran on, without a password.
  echo "DELETE FROM mysql.global_priv WHERE User = 'root' AND Host <> 'localhost';"
  echo "DELETE FROM mysql.proxies_priv WHERE Host <> 'localhost';"
  echo 'FLUSH PRIVILEGES;' # --bootstrap starts without the tables of accounts
  account ALTER "$root" localhost "$1"
  account CREATE "$root" % "$1"
  echo "GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION;"
  if [ -n "$name" ]; then
    quoted="CONCAT('\`', REPLACE($(text "$name"), '\`', '\`\`'), '\`')"
    echo "EXECUTE IMMEDIATE CONCAT('CREATE DATABASE IF NOT EXISTS ', $quoted);"
  fi
  if [ -n "$user" ]; then
    account CREATE "$user" % "$(setting PASSWORD | hex)"
    if [ -n "$name" ]; then
      # In GRANT the name of a database is a pattern: its _ and % must not match others.
      pattern="REPLACE(REPLACE($quoted, '_', '\\\\_'), '%', '\\\\%')"
      echo "EXECUTE IMMEDIATE CONCAT('GRANT ALL ON ', $pattern, '.* TO ', QUOTE($(text "$user")), '@''%''');"
    fi
  fi
}

if [ "${1#-}" != "$1" ]; then
  set -- mariadbd "$@"
fi

if [ "$1" = mariadbd ] || [ "$1" = mysqld ]; then
  if [ "$(id -u)" = 0 ]; then
    chown mysql:mysql "$data" /run/mysqld
    exec setpriv --reuid mysql --regid mysql --init-groups "$0" "$@"
  fi
  if [ ! -d "$data/mysql" ]; then
    root_password=$(setting ROOT_PASSWORD | hex)
    if [ -n "$(setting RANDOM_ROOT_PASSWORD)" ]; then
      generated=$(head -c 24 /dev/urandom | base64)
      root_password=$(printf %s "$generated" | hex)
      echo >&2 "[Note] [Entrypoint]: GENERATED ROOT PASSWORD: $generated"
    fi
    if [ -z "$root_password$(setting ALLOW_EMPTY_ROOT_PASSWORD)$(setting ALLOW_EMPTY_PASSWORD)" ]; then
      echo >&2 '[ERROR] [Entrypoint]: Database is uninitialized and password option is not specified'
      echo >&2 '  You need to specify one of MARIADB_ROOT_PASSWORD, MARIADB_ALLOW_EMPTY_ROOT_PASSWORD and'
      echo >&2 '  MARIADB_RANDOM_ROOT_PASSWORD'
      exit 1
    fi
    echo >&2 '[Note] [Entrypoint]: Initializing database files'
    new=$(mktemp -d)
    cp -r /usr/local/share/mysql-empty/. "$new"
    first_sql "$root_password" | mariadbd --bootstrap --datadir="$new" --log-warnings=0
    # The folder that says "not empty" comes last, so that a start cut short begins anew.
    mv "$new/mysql" "$new/.mysql"
    cp -r "$new/." "$data"
    mv "$data/.mysql" "$data/mysql"
    rm -rf "$new"
    echo >&2 '[Note] [Entrypoint]: MariaDB init process done. Ready for start up.'
  fi
fi

unset MARIADB_ROOT_PASSWORD MARIADB_PASSWORD MYSQL_ROOT_PASSWORD MYSQL_PASSWORD
exec "$@"
