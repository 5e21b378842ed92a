const units = [
  { name: 'd', seconds: 86400 },
  { name: 'h', seconds: 3600 },
  { name: 'min', seconds: 60 },
  { name: 's', seconds: 1 },
] as const;

/** Above that a second unit says nothing that anybody wants to know. */
const fewOfOne = 10;

/** Seconds as people say them, less than a tenth too short: `3 s`, `1 h 17 min`, `12 min`, `9 d 4 h`. */
export const duration = (seconds: number): string => {
  const whole = Math.max(0, Math.floor(seconds));
  const first = units.findIndex((unit) => whole >= unit.seconds);
  const large = units[first] ?? units[3];
  const small = units[first + 1];
  const count = Math.floor(whole / large.seconds);
  const rest = small === undefined || count >= fewOfOne ? 0 : Math.floor((whole % large.seconds) / small.seconds);
  return `${count} ${large.name}${rest === 0 || small === undefined ? '' : ` ${rest} ${small.name}`}`;
};
