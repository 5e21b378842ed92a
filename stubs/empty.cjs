// Stands in for packages that dockerode loads at once but needs only for ssh:// hosts and BuildKit, which we never use.
module.exports = {};
