// Package browsertest tests the page of the sandbox in a real browser. It is a
// module of its own, so that its libraries reach no user of the SDK.
package browsertest
