/** One thing that a plan does on the host, and the line that says so. */
import type { DesiredFile, DesiredLink } from './desired.ts';
import { runDirectory } from './names.ts';

/**
 * `owners` are those for whom a step is done that is nobody's own; none: for all. `needs` names the shared containers that come
 * first, and those that these need. `slow`: systemd calls the unit started only when its container runs.
 */
export type Step =
  | { kind: 'make-placeholder'; owner: null }
  | { kind: 'install-certificate'; owner: string; from: string }
  | { kind: 'pull-image'; owners: readonly string[]; owner: null; image: string }
  | { kind: 'write-file'; owner: string; file: DesiredFile; change: 'new' | 'changed' }
  | { kind: 'write-link'; owner: string; link: DesiredLink }
  | { kind: 'reload-units'; owners: readonly string[]; owner: null }
  | { kind: 'open'; owner: string; unit: string; wants: DesiredLink; slow: boolean }
  | { kind: 'start-unit'; owner: string; unit: string; why: string; needs: readonly string[] }
  | { kind: 'turn-switch'; owner: string; why: 'gone' | 'missing' }
  | { kind: 'mark-open'; owner: string }
  | { kind: 'restart-unit'; owner: string; unit: string; why: string; needs: readonly string[] }
  | { kind: 'install-vhosts'; owner: null; change: readonly string[]; remove: readonly string[]; shared: boolean }
  | { kind: 'reload-web'; owner: null }
  | { kind: 'stop-unit'; owner: string; unit: string }
  | { kind: 'remove-container'; owner: string; container: string }
  | { kind: 'remove-file'; owner: string; path: string; isUnit: boolean }
  | { kind: 'remove-run'; owner: string }
  | { kind: 'remove-folder'; owner: string; path: string };

const list = (names: readonly string[]): string =>
  names.length <= 3 ? names.join(', ') : `${names.slice(0, 2).join(', ')} and ${names.length - 2} more`;

/** One line for people: the log entry, the output of `appfleet plan`, and what tests compare. */
export const describeStep = (step: Step): string => {
  switch (step.kind) {
    case 'make-placeholder':
      return 'make a self-signed certificate for sites that have none yet';
    case 'install-certificate':
      return `install the certificate in ${step.from} for ${step.owner}`;
    case 'pull-image':
      return `pull image ${step.image}`;
    case 'write-file':
      return `${step.change === 'new' ? 'write' : 'rewrite'} ${step.file.path}`;
    case 'write-link':
      return `link ${step.link.path} -> ${step.link.target}`;
    case 'reload-units':
      return 'make systemd read changed units';
    case 'open':
      return `start and enable ${step.unit}`;
    case 'start-unit':
      return `start ${step.unit}: ${step.why}`;
    case 'turn-switch':
      return step.why === 'missing'
        ? `make the switch of ${step.owner} again: it is missing`
        : `turn the switch of ${step.owner} to its wake socket: its container is gone`;
    case 'mark-open':
      return `mark ${step.owner} as open: its mark is gone`;
    case 'restart-unit':
      return `restart ${step.unit}: ${step.why}`;
    case 'install-vhosts': {
      const parts = [
        ...(step.change.length > 0 ? [`install ${list(step.change)}`] : []),
        ...(step.remove.length > 0 ? [`remove ${list(step.remove)}`] : []),
        ...(step.shared ? ['install the shared file'] : []),
      ];
      return `test vhosts, then ${parts.join(', ')}`;
    }
    case 'reload-web':
      return 'make nginx load the vhosts';
    case 'stop-unit':
      return `stop ${step.unit}`;
    case 'remove-container':
      return `remove container ${step.container}`;
    case 'remove-run':
      return `remove ${runDirectory(step.owner)}`;
    case 'remove-file':
    case 'remove-folder':
      return `remove ${step.path}`;
  }
};
