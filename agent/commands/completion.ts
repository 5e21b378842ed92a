/** What a shell can complete: units/completion.* are made from this table, and a test compares it with the command line itself. */
import { fileKinds, runtimes } from '../core/keys.ts';
import { paths } from '../core/names.ts';
import { revocationReasons } from './cert-account.ts';
import type { Context, ExitCode } from './context.ts';
import { createKeys } from './site.ts';

/** What may stand after a command. */
type Argument = 'site' | 'member' | 'file' | 'topic' | readonly string[];

export interface CompletedCommand {
  words: string;
  help: string;
  argument?: Argument;
  /** Long options; those that take a value say which. */
  options?: Readonly<Record<string, 'flag' | 'value' | readonly string[]>>;
}

const json = { json: 'flag' } as const;
const ordering = { ...json, 'dry-run': 'flag', force: 'flag' } as const;
const shells = ['bash', 'fish'] as const;

export const completedCommands: readonly CompletedCommand[] = [
  { words: 'status', help: 'what the sites do', argument: 'member', options: { ...json, fleet: 'flag' } },
  { words: 'plan', help: 'what would change on this host', options: json },
  { words: 'apply', help: 'make the host what the files say', options: json },
  { words: 'wake', help: 'start its container now', argument: 'member' },
  { words: 'sleep', help: 'put it to sleep now, if nobody uses it', argument: 'member' },
  { words: 'check', help: 'every problem in the configuration', argument: 'file', options: json },
  {
    words: 'logs',
    help: 'what a site and its container say',
    argument: 'member',
    options: { follow: 'flag', lines: 'value' },
  },
  { words: 'doctor', help: 'name the broken link', argument: 'member', options: { ...json, wake: 'flag' } },
  { words: 'site', help: 'create or remove a site', argument: ['create', 'remove'] },
  {
    words: 'site create',
    help: 'write a commented site file',
    options: { runtime: runtimes, ...Object.fromEntries(createKeys.map((key) => [key, 'value'] as const)) },
  },
  { words: 'site remove', help: 'take a site away', argument: 'site', options: { yes: 'flag' } },
  {
    words: 'cert',
    help: 'certificates',
    argument: ['list', 'renew', 'issue', 'revoke', 'import', 'account'],
  },
  {
    words: 'cert list',
    help: 'show certificates and when they expire',
    argument: 'site',
    options: { ...json, expiring: 'value' },
  },
  { words: 'cert renew', help: 'order what is due', argument: 'site', options: ordering },
  { words: 'cert issue', help: 'order certificates now', argument: 'site', options: ordering },
  {
    words: 'cert revoke',
    help: 'take a certificate back',
    argument: 'site',
    options: { ...json, 'dry-run': 'flag', reason: Object.keys(revocationReasons), yes: 'flag' },
  },
  { words: 'cert import', help: 'take over certificates', argument: 'file', options: { ...json, 'dry-run': 'flag' } },
  {
    words: 'cert account',
    help: 'show or change the account',
    options: { ...json, update: 'flag', rollover: 'flag', deactivate: 'flag' },
  },
  {
    words: 'env',
    help: "a container's variables and where each comes from",
    argument: 'member',
    options: { ...json, reveal: 'flag' },
  },
  { words: 'env exec', help: 'run a program with variables from Consul', options: { prefix: 'value' } },
  { words: 'config', help: 'what the files may hold', argument: ['schema'] },
  { words: 'config schema', help: 'as a JSON schema' },
  { words: 'help', help: 'explain a command, or the keys of a file', argument: 'topic', options: json },
  { words: 'retire', help: 'take away what was made here', options: { yes: 'flag' } },
  { words: 'manual', help: 'print a manual page', argument: ['appfleet', 'appfleet-site'] },
  { words: 'version', help: 'the version' },
];

const tops = completedCommands.filter(({ words }) => !words.includes(' '));
/** Commands that are completed by a second word. */
const groups = tops
  .map(({ words }) => words)
  .filter((top) => completedCommands.some(({ words }) => words.startsWith(`${top} `)));
const optionsOf = ({ options = {} }: CompletedCommand): [string, 'flag' | 'value' | readonly string[]][] =>
  Object.entries(options);

/** What `appfleet help` explains: commands, and kinds of files. */
const topics = [...new Set([...Object.keys(fileKinds), ...tops.map(({ words }) => words)])].join(' ');

const bashWords = (argument: Argument | undefined): string => {
  if (argument === undefined || argument === 'file') return '';
  if (argument === 'topic') return topics;
  if (argument === 'site') return '$(_appfleet_names sites)';
  return argument === 'member' ? '$(_appfleet_names sites services)' : argument.join(' ');
};

const bashCase = (command: CompletedCommand): string[] => {
  const options = optionsOf(command);
  const words = [...options.map(([name]) => `--${name}`), '--help', bashWords(command.argument)].filter(
    (word) => word !== '',
  );
  const values = options.filter(([, value]) => value !== 'flag');
  return [
    `    '${command.words}')`,
    ...(command.argument === 'file' ? ['        files=yes'] : []),
    ...values.map(
      ([name, value]) =>
        `        [[ $before == --${name} ]] && { COMPREPLY=(${value === 'value' ? '' : `$(compgen -W '${(value as readonly string[]).join(' ')}' -- "$current")`}); return; }`,
    ),
    `        words="${words.join(' ')}"`,
    '        ;;',
  ];
};

const bash = (): string =>
  `# Completion of appfleet for bash; made by \`appfleet completion bash\`.
_appfleet_names() {
    local folder name
    for folder in "$@"; do
        for name in ${paths.config}/"$folder"/*.ini; do
            name=\${name##*/}
            name=\${name%.ini}
            # compgen -W expands its words: nothing but names may reach it
            [[ $name == *[!a-z0-9.-]* ]] || printf '%s\\n' "$name"
        done
    done
}

_appfleet() {
    local current=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD - 1]} path='' words='' files=''
    local word
    for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        [[ $word == -* ]] && continue
        case $path in
        '') path=$word ;;
        ${groups.join(' | ')}) path="$path $word" ;;
        esac
    done
    COMPREPLY=()
    case $path in
    '')
        words="--help --version ${tops.map(({ words }) => words).join(' ')}"
        ;;
${completedCommands.flatMap(bashCase).join('\n')}
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
    if [[ $files == yes && $current != -* ]]; then
        compopt -o filenames
        COMPREPLY+=($(compgen -f -- "$current"))
    fi
}

complete -F _appfleet appfleet
`;

const fishArgument = (argument: Argument | undefined): string => {
  if (argument === undefined) return '';
  if (argument === 'file') return ' -F';
  if (argument === 'topic') return ` -a '${topics}'`;
  if (argument === 'site') return " -a '(__appfleet_names sites)'";
  return argument === 'member' ? " -a '(__appfleet_names sites services)'" : ` -a '${argument.join(' ')}'`;
};

const fishLines = (command: CompletedCommand): string[] => {
  const at = `complete -c appfleet -n '__appfleet_at ${command.words}'`;
  return [
    ...(command.argument === undefined ? [] : [`${at}${fishArgument(command.argument)}`]),
    ...optionsOf(command).map(([name, value]) => {
      if (value === 'flag') return `${at} -l ${name}`;
      return `${at} -l ${name} -x${value === 'value' ? '' : ` -a '${value.join(' ')}'`}`;
    }),
  ];
};

const fish = (): string =>
  `# Completion of appfleet for fish; made by \`appfleet completion fish\`.
function __appfleet_names
    for folder in $argv
        for file in ${paths.config}/$folder/*.ini
            basename $file .ini
        end
    end
end

# Whether these are the words of the command that is being typed.
function __appfleet_at
    set -l words (string match --invert -- '-*' (commandline -opc))
    set -e words[1]
    set -l path $words[1]
    contains -- "$path" ${groups.join(' ')}; and set path $words[1..2]
    test "$path" = "$argv"
end

complete -c appfleet -f
complete -c appfleet -s h -l help -d 'explain a command'
complete -c appfleet -n 'not __fish_seen_subcommand_from ${tops.map(({ words }) => words).join(' ')}' -s V -l version -d 'print the version'
${tops.map(({ words, help }) => `complete -c appfleet -n __appfleet_at -a ${words} -d '${help.replaceAll("'", "\\'")}'`).join('\n')}
${completedCommands.flatMap(fishLines).join('\n')}
`;

const scripts: Readonly<Record<(typeof shells)[number], () => string>> = { bash, fish };
const isShell = (word: string): word is (typeof shells)[number] => (shells as readonly string[]).includes(word);

/** `appfleet completion SHELL`: prints a script that the shell loads. Packages install it; exit code 2 for another shell. */
export const completionCommand = (context: Context, shell: string): Promise<ExitCode> => {
  if (!isShell(shell)) {
    context.complain(`there is no completion for ${shell}; there is: ${shells.join(', ')}`);
    return Promise.resolve(2);
  }
  context.print(scripts[shell]().trimEnd());
  return Promise.resolve(0);
};
