package siem

import (
	"strconv"

	"github.com/sallyport-ssh/sallyport/internal/audit"
)

// object is a JSON object whose empty members are left out.
type object map[string]any

// with sets a member unless v is zero.
func with[V comparable](o object, key string, v V) object {
	var zero V
	if v != zero {
		o[key] = v
	}
	return o
}

// ocsf is e as an event of OCSF 1.6.0, profile host (for the actor).
func (n Encoder) ocsf(entry audit.Entry, e audit.Event) object {
	m := meaningOf(e.Kind)
	o := object{
		"class_uid":    int(m.class),
		"category_uid": int(m.class) / 1000,
		"activity_id":  m.activity,
		"type_uid":     int(m.class)*100 + m.activity,
		"severity_id":  int(m.severity),
		"time":         millis(e.At),
		"message":      message(m, e),
		"metadata": object{
			"version":    "1.6.0",
			"profiles":   []string{"host"},
			"uid":        strconv.FormatInt(entry.Index, 10),
			"sequence":   entry.Index,
			"event_code": string(e.Kind),
			"log_name":   n.Origin,
			"product":    n.product(),
		},
		"raw_data_hash": object{"algorithm_id": 3, "value": hash(entry)}, // SHA-256 of 0x00 and the leaf
		"unmapped":      e,
	}
	if m.activity == other {
		o["activity_name"] = m.name
	}
	switch e.Outcome {
	case audit.Success:
		o["status_id"] = 1
	case audit.Refused, audit.Failed:
		o["status_id"] = 2
	}
	with(o, "status_code", e.Reason)
	with(o, "status_detail", e.Text)
	with(o, "count", e.Count)
	source := endpoint(e.Client)
	switch m.class {
	case authentication:
		o["user"] = user(person(e), e.Groups)
		o["service"] = object{"name": "sallyport"}
		o["auth_protocol_id"] = 6 // OpenID
		certificate(o, e)
	case sshActivity:
		o["actor"] = object{"user": user(person(e), nil)}
		o["auth_type_id"] = 1 // certificate based
		o["dst_endpoint"] = with(with(object{"hostname": orUnknown(string(e.Node))}, "uid", string(e.NodeID)), "svc_name", "ssh")
	case lifecycle:
		o["app"] = n.product()
	case finding:
		o["finding_info"] = object{"uid": strconv.FormatInt(entry.Index, 10), "title": m.name}
	case entity:
		o["entity"] = with(with(object{"type": m.entity}, "name", entityName(e)), "uid", entityID(e))
	}
	if source != nil && m.class != lifecycle && m.class != finding {
		o["src_endpoint"] = source
	}
	if e.Actor != "" && m.class == entity {
		o["actor"] = object{"user": user(e.Actor, nil)}
	}
	return o
}

func (n Encoder) product() object {
	return with(object{"name": "Sallyport", "vendor_name": "Sallyport"}, "version", n.Version)
}

// user is a person or workload, or one of Sallyport's parts.
func user(name string, groups []string) object {
	kind := 1 // user
	if isPart(name) {
		kind = 3 // system
	}
	o := object{"name": orUnknown(name), "type_id": kind}
	if len(groups) > 0 {
		list := make([]object, len(groups))
		for i, g := range groups {
			list[i] = object{"name": g}
		}
		o["groups"] = list
	}
	return o
}

func endpoint(client string) object {
	ip, port := address(client)
	if ip == "" {
		return nil
	}
	return with(object{"ip": ip}, "port", port)
}

func certificate(o object, e audit.Event) {
	if c := e.Certificate; c != nil {
		o["certificate"] = object{
			"serial_number": strconv.FormatUint(uint64(c.Serial), 10), "issuer": c.Profile + " CA",
			"created_time": c.ValidAfter * 1000, "expiration_time": c.ValidBefore * 1000,
		}
	}
}

// entityName is what an entity event is about, as people call it. It is never
// empty: OCSF wants a name or an id.
func entityName(e audit.Event) string {
	switch {
	case e.Session != "":
		return string(e.Session)
	case e.Node != "":
		return string(e.Node)
	case e.Proxy != "":
		return string(e.Proxy)
	case e.Token != nil:
		return e.Token.ID
	case e.Policy != nil:
		return "policy"
	case e.Certificate != nil && e.Certificate.KeyID != "":
		return e.Certificate.KeyID
	}
	return orUnknown(person(e))
}

func entityID(e audit.Event) string {
	switch {
	case e.Certificate != nil:
		return strconv.FormatUint(uint64(e.Certificate.Serial), 10)
	case e.Policy != nil && e.Policy.Revision != 0:
		return strconv.FormatInt(e.Policy.Revision, 10)
	}
	return string(e.NodeID)
}

func orUnknown(name string) string {
	if name == "" {
		return "unknown"
	}
	return name
}
