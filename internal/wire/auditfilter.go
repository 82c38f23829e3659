package wire

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/sallyport-ssh/sallyport/internal/id"
)

// maxReason bounds a kind or reason in a filter, in bytes.
const maxReason = 64

// Query is f as the query of PathAudit.
func (f AuditFilter) Query() url.Values {
	q := url.Values{}
	for key, value := range map[string]string{
		"identity": string(f.Identity), "login": string(f.Login), "node": string(f.Node), "session": string(f.Session),
		"kind": strings.Join(f.Kind, ","), "reason": f.Reason,
	} {
		if value != "" {
			q.Set(key, value)
		}
	}
	for key, value := range map[string]int64{
		"since": f.Since, "until": f.Until, "from": f.From, "before": f.Before,
		"limit": int64(f.Limit), "wait": int64(f.Wait),
	} {
		if value != 0 {
			q.Set(key, strconv.FormatInt(value, 10))
		}
	}
	if f.Oldest {
		q.Set("oldest", "true")
	}
	return q
}

// ParseAuditFilter reads what Query writes, and refuses as ParseSessionFilter
// does.
func ParseAuditFilter(q url.Values) (AuditFilter, error) {
	var f AuditFilter
	for key, values := range q {
		if len(values) != 1 {
			return AuditFilter{}, badFilter(key)
		}
		var err error
		var n int64
		switch value := values[0]; key {
		case "identity":
			f.Identity, err = id.ParseIdentity(value)
		case "login":
			f.Login, err = id.ParseLogin(value)
		case "node":
			f.Node, err = id.ParseNodeName(value)
		case "session":
			f.Session, err = id.ParseSession(value)
		case "kind":
			f.Kind = strings.Split(value, ",")
			for _, kind := range f.Kind {
				if !isWord(kind) {
					return AuditFilter{}, badFilter(key)
				}
			}
		case "reason":
			if f.Reason = value; !isWord(value) {
				return AuditFilter{}, badFilter(key)
			}
		case "since":
			f.Since, err = parseNumber(value)
		case "until":
			f.Until, err = parseNumber(value)
		case "from":
			f.From, err = parseNumber(value)
		case "before":
			f.Before, err = parseNumber(value)
		case "limit":
			n, err = parseNumber(value)
			f.Limit = int(min(n, 1<<20))
		case "wait":
			n, err = parseNumber(value)
			f.Wait = int(min(n, 1<<20))
		case "oldest":
			f.Oldest, err = strconv.ParseBool(value)
		default:
			return AuditFilter{}, badFilter(key)
		}
		if err != nil {
			return AuditFilter{}, badFilter(key).Because(err)
		}
	}
	return f, nil
}

// isWord: kinds and reasons are lower case letters and underscores.
func isWord(s string) bool {
	return s != "" && len(s) <= maxReason && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}
