// Package campaign tries to make batch.Run lose money: it plays faults,
// crashes, lies and operators' decisions against the four simulators, in
// virtual time, and holds what every call said against what really happened.
// See CONTRIBUTING.
package campaign
