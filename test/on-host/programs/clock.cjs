// Loaded into the agent by NODE_OPTIONS: its wall clock is ahead by the seconds in /run/on-host-clock. A test host shares the
// clock of the machine it runs on, which is not ours to set. The steady clock stays, as it does when somebody sets the time.
'use strict';
const { readFileSync } = require('node:fs');

const real = Date.now;
let read = 0;
let ahead = 0;
const now = () => {
  const time = real();
  if (time - read > 50) {
    read = time;
    try {
      ahead = Number(readFileSync('/run/on-host-clock', 'utf8')) * 1000;
    } catch {
      ahead = 0;
    }
  }
  return time + ahead;
};
globalThis.Date = class extends Date {
  constructor(...words) {
    if (words.length === 0) super(now());
    else super(...words);
  }
  static now() {
    return now();
  }
};
