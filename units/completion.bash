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
        site | config) path="$path $word" ;;
        esac
    done
    COMPREPLY=()
    case $path in
    '')
        words="status plan apply wake sleep check logs doctor site cert config help retire manual version"
        ;;
    'status')
        words="--json $(_appfleet_names sites services)"
        ;;
    'plan')
        words="--json"
        ;;
    'apply')
        words="--json"
        ;;
    'wake')
        words="$(_appfleet_names sites services)"
        ;;
    'sleep')
        words="$(_appfleet_names sites services)"
        ;;
    'check')
        files=yes
        words="--json"
        ;;
    'logs')
        [[ $before == --lines ]] && { COMPREPLY=(); return; }
        words="--follow --lines $(_appfleet_names sites services)"
        ;;
    'doctor')
        words="--json --wake $(_appfleet_names sites services)"
        ;;
    'site')
        words="create remove"
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
        words="--runtime --image --command --port --root --index --aliases --idle --needs --memory"
        ;;
    'site remove')
        words="--yes $(_appfleet_names sites)"
        ;;
    'cert')
        words="list renew issue revoke import account"
        ;;
    'cert list')
        [[ $before == --expiring ]] && { COMPREPLY=(); return; }
        words="--json --expiring $(_appfleet_names sites)"
        ;;
    'cert renew')
        words="--json --dry-run --force $(_appfleet_names sites)"
        ;;
    'cert issue')
        words="--json --dry-run --force $(_appfleet_names sites)"
        ;;
    'cert revoke')
        [[ $before == --reason ]] && { COMPREPLY=($(compgen -W 'unspecified key-compromise affiliation-changed superseded cessation-of-operation' -- "$current")); return; }
        words="--reason --yes $(_appfleet_names sites)"
        ;;
    'cert import')
        files=yes
        words="--json --dry-run"
        ;;
    'cert account')
        words="--json --update --rollover --deactivate"
        ;;
    'config')
        words="schema"
        ;;
    'config schema')
        words=""
        ;;
    'help')
        words="--json site service settings"
        ;;
    'retire')
        words="--yes"
        ;;
    'manual')
        words="appfleet appfleet-site"
        ;;
    'version')
        words=""
        ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
    if [[ $files == yes && $current != -* ]]; then
        compopt -o filenames
        COMPREPLY+=($(compgen -f -- "$current"))
    fi
}

complete -F _appfleet appfleet
