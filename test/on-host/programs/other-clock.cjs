// For node --require: this program's clock is off by so many seconds (APPFLEET_TEST_CLOCK), as a whole host's may be.
const off = Number(process.env.APPFLEET_TEST_CLOCK) * 1000;
const now = Date.now;
Date.now = () => now() + off;
