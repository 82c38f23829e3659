package siem

import (
	"github.com/sallyport-ssh/sallyport/internal/audit"
)

// ecs is e by the Elastic Common Schema 9.4.0. What it has no field for stands
// under sallyport, whole.
func (n Encoder) ecs(entry audit.Entry, e audit.Event) object {
	m := meaningOf(e.Kind)
	kind := "event"
	if e.Kind == audit.LogDamaged {
		kind = "alert"
	}
	event := object{
		"kind": kind, "category": m.category, "type": m.types,
		"action": string(e.Kind), "outcome": outcome(e.Outcome),
		"dataset": "sallyport.audit", "module": "sallyport", "provider": n.Origin,
		"sequence": entry.Index, "severity": int(m.severity), "hash": hash(entry),
	}
	with(event, "reason", e.Reason)
	o := object{
		"@timestamp": stamp(e.At),
		"ecs":        object{"version": "9.4.0"},
		"message":    message(m, e),
		"event":      event,
		"observer":   with(object{"vendor": "Sallyport", "product": "Sallyport", "type": "proxy"}, "version", n.Version),
		"sallyport":  e,
	}
	var related object = object{}
	if who := person(e); who != "" {
		person := object{"name": who}
		if len(e.Roles) > 0 {
			person["roles"] = e.Roles
		}
		o["user"] = person
		related["user"] = names(who, e.Actor, string(e.Login))
	}
	if e.Node != "" {
		o["host"] = with(object{"name": string(e.Node)}, "id", string(e.NodeID))
		related["hosts"] = []string{string(e.Node)}
	}
	if ip, port := address(e.Client); ip != "" {
		o["source"] = with(object{"ip": ip, "address": ip}, "port", port)
		related["ip"] = []string{ip}
	}
	if len(related) > 0 {
		o["related"] = related
	}
	return o
}

func outcome(o audit.Outcome) string {
	switch o {
	case audit.Success:
		return "success"
	case audit.Refused, audit.Failed:
		return "failure"
	}
	return "unknown"
}

// names are those that are not empty, each once.
func names(list ...string) (some []string) {
	for _, name := range list {
		seen := name == ""
		for _, each := range some {
			seen = seen || each == name
		}
		if !seen {
			some = append(some, name)
		}
	}
	return some
}
