package wire

import (
	"net/url"
	"strconv"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
)

// Query is f as the query of PathSessions.
func (f SessionFilter) Query() url.Values {
	q := url.Values{}
	text := func(key, value string) {
		if value != "" {
			q.Set(key, value)
		}
	}
	number := func(key string, value int64) {
		if value != 0 {
			q.Set(key, strconv.FormatInt(value, 10))
		}
	}
	text("identity", string(f.Identity))
	text("node", string(f.Node))
	text("login", string(f.Login))
	text("before", string(f.Before))
	number("since", f.Since)
	number("until", f.Until)
	number("limit", int64(f.Limit))
	if f.Live {
		q.Set("live", "true")
	}
	return q
}

// ParseSessionFilter reads what Query writes. An unknown key, a doubled one and
// a value that is none are refused: a filter that is not understood would show
// more than was asked for.
func ParseSessionFilter(q url.Values) (SessionFilter, error) {
	var f SessionFilter
	for key, values := range q {
		if len(values) != 1 {
			return SessionFilter{}, badFilter(key)
		}
		var err error
		switch value := values[0]; key {
		case "identity":
			f.Identity, err = id.ParseIdentity(value)
		case "node":
			f.Node, err = id.ParseNodeName(value)
		case "login":
			f.Login, err = id.ParseLogin(value)
		case "before":
			f.Before, err = id.ParseSession(value)
		case "since":
			f.Since, err = parseNumber(value)
		case "until":
			f.Until, err = parseNumber(value)
		case "limit":
			var n int64
			n, err = parseNumber(value)
			f.Limit = int(min(n, 1<<20))
		case "live":
			f.Live, err = strconv.ParseBool(value)
		default:
			return SessionFilter{}, badFilter(key)
		}
		if err != nil {
			return SessionFilter{}, badFilter(key).Because(err)
		}
	}
	return f, nil
}

func parseNumber(s string) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	return int64(n), err
}

func badFilter(key string) *fault.Error {
	return fault.New(fault.Invalid, fault.BadRequest, "the filter %q is not one that this CA takes", key)
}
