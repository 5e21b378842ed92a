# Completion of appfleet for bash; made by `appfleet completion bash`.
_appfleet_names() {
    local folder name
    for folder in "$@"; do
        for name in /etc/appfleet/"$folder"/*.ini; do
            name=${name##*/}
            name=${name%.ini}
            # compgen -W expands its words: nothing but names may reach it
            [[ $name == *[!a-z0-9.-]* ]] || printf '%s\n' "$name"
        done
    done
}

_appfleet() {
    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} path='' words='' files=''
    local word
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        [[ $word == -* ]] && continue
        case $path in
        '') path=$word ;;
        site | cert | env | config) path="$path $word" ;;
        esac
    done
    COMPREPLY=()
    case $path in
    '')
        words="--help --version status plan apply wake sleep check logs doctor site cert env config help retire manual version"
        ;;
    'status')
        words="--json --fleet --help $(_appfleet_names sites services)"
        ;;
    'plan')
        words="--json --help"
        ;;
    'apply')
        words="--json --help"
        ;;
    'wake')
        words="--help $(_appfleet_names sites services)"
        ;;
    'sleep')
        words="--help $(_appfleet_names sites services)"
        ;;
    'check')
        files=yes
        words="--json --help"
        ;;
    'logs')
        [[ $before == --lines ]] && { COMPREPLY=(); return; }
        words="--follow --lines --help $(_appfleet_names sites services)"
        ;;
    'doctor')
        words="--json --wake --help $(_appfleet_names sites services)"
        ;;
    'site')
        words="--help create remove"
        ;;
    'site create')
        [[ $before == --runtime ]] && { COMPREPLY=($(compgen -W 'php-fpm node container static' -- "$current")); return; }
        [[ $before == --image ]] && { COMPREPLY=(); return; }
        [[ $before == --command ]] && { COMPREPLY=(); return; }
        [[ $before == --port ]] && { COMPREPLY=(); return; }
        [[ $before == --root ]] && { COMPREPLY=(); return; }
        [[ $before == --index ]] && { COMPREPLY=(); return; }
        [[ $before == --aliases ]] && { COMPREPLY=(); return; }
        [[ $before == --idle ]] && { COMPREPLY=(); return; }
        [[ $before == --needs ]] && { COMPREPLY=(); return; }
        [[ $before == --memory ]] && { COMPREPLY=(); return; }
        words="--runtime --image --command --port --root --index --aliases --idle --needs --memory --help"
        ;;
    'site remove')
        words="--yes --help $(_appfleet_names sites)"
        ;;
    'cert')
        words="--help list renew issue revoke import account"
        ;;
    'cert list')
        [[ $before == --expiring ]] && { COMPREPLY=(); return; }
        words="--json --expiring --help $(_appfleet_names sites)"
        ;;
    'cert renew')
        words="--json --dry-run --force --help $(_appfleet_names sites)"
        ;;
    'cert issue')
        words="--json --dry-run --force --help $(_appfleet_names sites)"
        ;;
    'cert revoke')
        [[ $before == --reason ]] && { COMPREPLY=($(compgen -W 'unspecified key-compromise affiliation-changed superseded cessation-of-operation' -- "$current")); return; }
        words="--json --dry-run --reason --yes --help $(_appfleet_names sites)"
        ;;
    'cert import')
        files=yes
        words="--json --dry-run --help"
        ;;
    'cert account')
        words="--json --update --rollover --deactivate --help"
        ;;
    'env')
        words="--json --reveal --help $(_appfleet_names sites services)"
        ;;
    'env exec')
        [[ $before == --prefix ]] && { COMPREPLY=(); return; }
        words="--prefix --help"
        ;;
    'config')
        words="--help schema"
        ;;
    'config schema')
        words="--help"
        ;;
    'help')
        words="--json --help site service settings status plan apply wake sleep check logs doctor cert env config help retire manual version"
        ;;
    'retire')
        words="--yes --help"
        ;;
    'manual')
        words="--help appfleet appfleet-site"
        ;;
    'version')
        words="--help"
        ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
    if [[ $files == yes && $current != -* ]]; then
        compopt -o filenames
        COMPREPLY+=($(compgen -f -- "$current"))
    fi
}

complete -F _appfleet appfleet
