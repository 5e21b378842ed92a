# Completion of appfleet for fish; made by `appfleet completion fish`.
function __appfleet_names
    for folder in $argv
        for file in /etc/appfleet/$folder/*.ini
            basename $file .ini
        end
    end
end

# Whether these are the words of the command that is being typed.
function __appfleet_at
    set -l words (string match --invert -- '-*' (commandline -opc))
    set -e words[1]
    set -l path $words[1]
    contains -- "$path" site cert env config; and set path $words[1..2]
    test "$path" = "$argv"
end

complete -c appfleet -f
complete -c appfleet -s h -l help -d 'explain a command'
complete -c appfleet -n 'not __fish_seen_subcommand_from status plan apply wake sleep check logs doctor site cert env config help retire manual version' -s V -l version -d 'print the version'
complete -c appfleet -n __appfleet_at -a status -d 'what the sites do'
complete -c appfleet -n __appfleet_at -a plan -d 'what would change on this host'
complete -c appfleet -n __appfleet_at -a apply -d 'make the host what the files say'
complete -c appfleet -n __appfleet_at -a wake -d 'start its container now'
complete -c appfleet -n __appfleet_at -a sleep -d 'put it to sleep now, if nobody uses it'
complete -c appfleet -n __appfleet_at -a check -d 'every problem in the configuration'
complete -c appfleet -n __appfleet_at -a logs -d 'what a site and its container say'
complete -c appfleet -n __appfleet_at -a doctor -d 'name the broken link'
complete -c appfleet -n __appfleet_at -a site -d 'create or remove a site'
complete -c appfleet -n __appfleet_at -a cert -d 'certificates'
complete -c appfleet -n __appfleet_at -a env -d 'a container\'s variables and where each comes from'
complete -c appfleet -n __appfleet_at -a config -d 'what the files may hold'
complete -c appfleet -n __appfleet_at -a help -d 'explain a command, or the keys of a file'
complete -c appfleet -n __appfleet_at -a retire -d 'take away what was made here'
complete -c appfleet -n __appfleet_at -a manual -d 'print a manual page'
complete -c appfleet -n __appfleet_at -a version -d 'the version'
complete -c appfleet -n '__appfleet_at status' -a '(__appfleet_names sites services)'
complete -c appfleet -n '__appfleet_at status' -l json
complete -c appfleet -n '__appfleet_at status' -l fleet
complete -c appfleet -n '__appfleet_at plan' -l json
complete -c appfleet -n '__appfleet_at apply' -l json
complete -c appfleet -n '__appfleet_at wake' -a '(__appfleet_names sites services)'
complete -c appfleet -n '__appfleet_at sleep' -a '(__appfleet_names sites services)'
complete -c appfleet -n '__appfleet_at check' -F
complete -c appfleet -n '__appfleet_at check' -l json
complete -c appfleet -n '__appfleet_at logs' -a '(__appfleet_names sites services)'
complete -c appfleet -n '__appfleet_at logs' -l follow
complete -c appfleet -n '__appfleet_at logs' -l lines -x
complete -c appfleet -n '__appfleet_at doctor' -a '(__appfleet_names sites services)'
complete -c appfleet -n '__appfleet_at doctor' -l json
complete -c appfleet -n '__appfleet_at doctor' -l wake
complete -c appfleet -n '__appfleet_at site' -a 'create remove'
complete -c appfleet -n '__appfleet_at site create' -l runtime -x -a 'php-fpm node container static'
complete -c appfleet -n '__appfleet_at site create' -l image -x
complete -c appfleet -n '__appfleet_at site create' -l command -x
complete -c appfleet -n '__appfleet_at site create' -l port -x
complete -c appfleet -n '__appfleet_at site create' -l root -x
complete -c appfleet -n '__appfleet_at site create' -l index -x
complete -c appfleet -n '__appfleet_at site create' -l aliases -x
complete -c appfleet -n '__appfleet_at site create' -l idle -x
complete -c appfleet -n '__appfleet_at site create' -l needs -x
complete -c appfleet -n '__appfleet_at site create' -l memory -x
complete -c appfleet -n '__appfleet_at site remove' -a '(__appfleet_names sites)'
complete -c appfleet -n '__appfleet_at site remove' -l yes
complete -c appfleet -n '__appfleet_at cert' -a 'list renew issue revoke import account'
complete -c appfleet -n '__appfleet_at cert list' -a '(__appfleet_names sites)'
complete -c appfleet -n '__appfleet_at cert list' -l json
complete -c appfleet -n '__appfleet_at cert list' -l expiring -x
complete -c appfleet -n '__appfleet_at cert renew' -a '(__appfleet_names sites)'
complete -c appfleet -n '__appfleet_at cert renew' -l json
complete -c appfleet -n '__appfleet_at cert renew' -l dry-run
complete -c appfleet -n '__appfleet_at cert renew' -l force
complete -c appfleet -n '__appfleet_at cert issue' -a '(__appfleet_names sites)'
complete -c appfleet -n '__appfleet_at cert issue' -l json
complete -c appfleet -n '__appfleet_at cert issue' -l dry-run
complete -c appfleet -n '__appfleet_at cert issue' -l force
complete -c appfleet -n '__appfleet_at cert revoke' -a '(__appfleet_names sites)'
complete -c appfleet -n '__appfleet_at cert revoke' -l json
complete -c appfleet -n '__appfleet_at cert revoke' -l dry-run
complete -c appfleet -n '__appfleet_at cert revoke' -l reason -x -a 'unspecified key-compromise affiliation-changed superseded cessation-of-operation'
complete -c appfleet -n '__appfleet_at cert revoke' -l yes
complete -c appfleet -n '__appfleet_at cert import' -F
complete -c appfleet -n '__appfleet_at cert import' -l json
complete -c appfleet -n '__appfleet_at cert import' -l dry-run
complete -c appfleet -n '__appfleet_at cert account' -l json
complete -c appfleet -n '__appfleet_at cert account' -l update
complete -c appfleet -n '__appfleet_at cert account' -l rollover
complete -c appfleet -n '__appfleet_at cert account' -l deactivate
complete -c appfleet -n '__appfleet_at env' -a '(__appfleet_names sites services)'
complete -c appfleet -n '__appfleet_at env' -l json
complete -c appfleet -n '__appfleet_at env' -l reveal
complete -c appfleet -n '__appfleet_at env exec' -l prefix -x
complete -c appfleet -n '__appfleet_at config' -a 'schema'
complete -c appfleet -n '__appfleet_at help' -a 'site service settings status plan apply wake sleep check logs doctor cert env config help retire manual version'
complete -c appfleet -n '__appfleet_at help' -l json
complete -c appfleet -n '__appfleet_at retire' -l yes
complete -c appfleet -n '__appfleet_at manual' -a 'appfleet appfleet-site'
