// Package campaign tries to make batch.Run lose money: it plays faults,
// crashes and lies against the four simulators, in virtual time, and holds
// what Run said against what really happened. See CONTRIBUTING.
package campaign
