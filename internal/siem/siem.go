// Package siem writes audit events in the forms that other systems read: the
// log's own JSON lines, OCSF, ECS and CEF. Golden files and the formats' own
// schemas hold each encoder to its form.
//
// The package is pure.
package siem
