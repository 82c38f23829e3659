// Package cert holds the three certificate profiles of Sallyport (DESIGN,
// section 2): login, session and host. For each it derives the certificate from
// a request's typed fields, and lints exact bytes against what the profile
// allows. The CA and its signer both derive and lint, apart from each other;
// nothing is signed that only one of them understood.
//
// Fields follow draft-ietf-sshm-cert and OpenSSH's PROTOCOL.certkeys. Options
// are sorted and unique, each value is a string within a string.
//
// # Promises
//
// No certificate without exactly the principals of its profile, with serial 0,
// with an option its profile does not list, with a validity beyond its profile's
// limit or signed by another than its profile's CA key passes Lint. Zero values
// derive nothing. The package is pure: the caller brings the time.
package cert
