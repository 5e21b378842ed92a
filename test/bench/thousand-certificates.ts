/** A host with a thousand sites over HTTPS: handshakes, and what the way of naming certificates costs. */
import { putTlsSites, tlsNames, withAuthority } from './authority.ts';
import { type Figure, median } from './figure.ts';
import type { Lab, Part } from './lab.ts';
import type { HandshakesInput, HandshakesResult } from './programs/handshakes.ts';
import type { ReloadsInput, ReloadsResult } from './programs/reloads.ts';
import { rigs, startRigs, stopRigs } from './tls-rigs.ts';

const count = 1000;
const rounds = { handshakes: 40, reloads: 5 };
const handshakesPerTurn = 150;
const names = tlsNames(count);
const title = `${count} TLS sites`;

const handshakeFigures = async (lab: Lab): Promise<Figure[]> => {
  const product = { port: 443, pidFile: '/run/nginx.pid' };
  const input: HandshakesInput = {
    servers: { product, byHand: rigs.byHand, variable: rigs.variable },
    names,
    rounds: rounds.handshakes,
    count: handshakesPerTurn,
    width: 8,
  };
  const rates = await lab.measure<HandshakesResult>('handshakes', input);
  const of = (key: string): HandshakesResult[string] => rates[key] ?? { processor: [], clock: [] };
  const against = (other: string): Pick<Figure, 'value' | 'unit' | 'from'> => {
    const [ours, theirs] = [of('product'), of(other)];
    const rate = (values: readonly number[]): string => `${median(values).toFixed(0)}/s`;
    const ratio = (how: 'processor' | 'clock'): number =>
      median(ours[how].map((each, round) => each / (theirs[how][round] ?? NaN)));
    return {
      value: ratio('processor'),
      unit: 'x',
      from: `${rate(ours.processor)} against ${rate(theirs.processor)} of nginx's processor time; by the clock ${ratio('clock').toFixed(2)}, ${rate(ours.clock)} against ${rate(theirs.clock)}; medians of ${rounds.handshakes} rounds`,
    };
  };
  return [
    {
      name: `${title}: handshakes, against nginx with certificates named by hand`,
      ...against('byHand'),
      target: { atLeast: 0.97 },
    },
    { name: `${title}: handshakes, against naming by a variable`, ...against('variable'), target: null },
  ];
};

const namingFigures = async (lab: Lab): Promise<Figure[]> => {
  const input: ReloadsInput = {
    pidFiles: { 'a file per vhost': rigs.file.pidFile, 'a variable': rigs.variable.pidFile },
    rounds: rounds.reloads,
  };
  const result = await lab.measure<ReloadsResult>('reloads', input);
  const from = `median of ${rounds.reloads}, in turns`;
  const ways = Object.entries(result);
  return [
    ...ways.map(([way, { milliseconds }]): Figure => ({
      name: `${title}: reload, certificates named by ${way}`,
      value: median(milliseconds),
      unit: 'ms',
      target: null,
      from,
    })),
    ...ways.map(([way, { bytes }]): Figure => ({
      name: `${title}: memory of nginx, certificates named by ${way}`,
      value: bytes / 1e6,
      unit: 'MB',
      target: null,
      from: 'master and workers, shared pages once',
    })),
  ];
};

export const thousandCertificates: Part = (lab) =>
  withAuthority(lab, async (authority): Promise<Figure[]> => {
    const { log } = lab;
    log(`${title}: from empty to served`);
    await putTlsSites(lab, names);
    log(`${title}: their certificates`);
    const { seconds, renewed } = await authority.order();
    if (renewed !== count) throw new Error(`${renewed} of ${count} sites got a certificate`);
    try {
      await startRigs(lab, names);
      log(`${title}: handshakes`);
      const handshakes = await handshakeFigures(lab);
      log(`${title}: reloads`);
      const naming = await namingFigures(lab);
      return [
        { name: `${title}: all first certificates`, value: seconds, unit: 's', target: null },
        ...handshakes,
        ...naming,
      ];
    } finally {
      await stopRigs(lab);
    }
  });
