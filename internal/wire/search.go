package wire

import (
	"net/url"
	"strconv"
)

// Query is s as the query of PathSearch.
func (s SearchQuery) Query() url.Values {
	q := SessionFilter{Identity: s.Identity, Node: s.Node, Login: s.Login, Since: s.Since, Until: s.Until, Limit: s.Limit}.Query()
	q.Set("text", s.Text)
	for _, k := range s.Kind {
		q.Add("kind", k)
	}
	if s.Before != "" {
		q.Set("before", s.Before)
	}
	return q
}

// ParseSearchQuery reads what Query writes, and refuses what ParseSessionFilter
// refuses.
func ParseSearchQuery(q url.Values) (SearchQuery, error) {
	rest := url.Values{}
	var s SearchQuery
	for key, values := range q {
		switch {
		case key == "kind" && len(values) <= 8:
			s.Kind = values
		case len(values) != 1:
			return SearchQuery{}, badFilter(key)
		case key == "text":
			s.Text = values[0]
		case key == "before":
			n, err := strconv.ParseUint(values[0], 10, 63)
			if err != nil || n == 0 {
				return SearchQuery{}, badFilter(key)
			}
			s.Before = values[0]
		case key == "live":
			return SearchQuery{}, badFilter(key)
		default:
			rest[key] = values
		}
	}
	f, err := ParseSessionFilter(rest)
	if err != nil {
		return SearchQuery{}, err
	}
	s.Identity, s.Node, s.Login, s.Since, s.Until, s.Limit = f.Identity, f.Node, f.Login, f.Since, f.Until, f.Limit
	return s, nil
}
