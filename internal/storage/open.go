package storage

import (
	"net/netip"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// Open makes the Store of a URL:
//
//	file:///srv/recordings
//	s3://bucket/prefix?region=eu-central-1
//	s3://bucket/prefix?endpoint=https://objects.example.com&credentials=/etc/sallyport/s3
//
// endpoint is AWS where it is not given, and speaks TLS, except on loopback.
// credentials is an AWS credentials file, profile one of its sections; without
// them the AWS chain is asked: environment, ~/.aws, the machine's role. lock is
// what object lock keeps by: compliance (nobody can undo it; the default) or
// governance.
//
// A secret has no place in the URL: it stands in configuration, argv and logs.
// Open does not connect; Check does. What is wrong is of reason config_invalid.
func Open(raw string, now func() time.Time) (Store, error) {
	if HasSecret(raw) {
		return nil, invalid("the storage's URL has a name or secret in it; name a file with ?credentials=/path")
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, invalid("the storage is not a URL such as s3://bucket/prefix or file:///srv/recordings")
	}
	if u.Fragment != "" || u.Opaque != "" {
		return nil, invalid("the storage is not a URL such as s3://bucket/prefix or file:///srv/recordings")
	}
	switch u.Scheme {
	case "file":
		if u.Host != "" || !filepath.IsAbs(u.Path) || u.RawQuery != "" {
			return nil, invalid("a directory is written as file:///absolute/path")
		}
		return NewLocal(filepath.Clean(u.Path), now), nil
	case "s3":
		place, err := parseS3(u)
		if err != nil {
			return nil, err
		}
		return newS3(place, now)
	}
	return nil, invalid("the storage %q is neither file:// nor s3://", u.Scheme)
}

// HasSecret says whether a name or a secret may stand in a storage's URL; nobody
// should then show it.
func HasSecret(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && u.User != nil || err != nil && strings.Contains(raw, "@")
}

func invalid(format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, fault.ConfigInvalid, format, args...)
}

// place is where in which service, and as whom.
type place struct {
	bucket, prefix string // prefix without slashes around it; may be empty
	endpoint       string // host, host:port
	plain          bool   // HTTP
	region         string
	credentials    string // file; "" asks the AWS chain
	profile        string
	mode           minio.RetentionMode
}

func parseS3(u *url.URL) (p place, err error) {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return p, invalid("the storage's URL has a malformed query")
	}
	known := []string{"endpoint", "region", "credentials", "profile", "lock"}
	for key, values := range query {
		if !slices.Contains(known, key) {
			return p, invalid("the storage's URL has an unknown %q; known: %s", key, strings.Join(known, ", "))
		}
		if len(values) != 1 || values[0] == "" {
			return p, invalid("the storage's URL gives %s more than once, or empty", key)
		}
	}
	p = place{
		bucket: u.Host, prefix: strings.Trim(u.Path, "/"), region: query.Get("region"),
		endpoint: "s3.amazonaws.com", credentials: query.Get("credentials"), profile: query.Get("profile"),
		mode: minio.Compliance,
	}
	if p.bucket == "" || u.Port() != "" {
		return p, invalid("the storage's URL names no bucket: s3://bucket/prefix")
	}
	if p.prefix != "" && path.Clean("/"+p.prefix) != "/"+p.prefix {
		return p, invalid("the storage's prefix %q has an empty or dotted part", p.prefix)
	}
	if p.region == "" {
		// Asking the service for it would need one more permission.
		p.region = "us-east-1"
	}
	if p.credentials != "" && !filepath.IsAbs(p.credentials) {
		return p, invalid("the storage's credentials=%s is no absolute path", p.credentials)
	}
	switch query.Get("lock") {
	case "", "compliance":
	case "governance":
		p.mode = minio.Governance
	default:
		return p, invalid("the storage's lock is compliance or governance")
	}
	if e := query.Get("endpoint"); e != "" {
		return p, p.at(e)
	}
	return p, nil
}

// at sets the endpoint. Recordings and signed requests go there, so it is TLS,
// except on this machine.
func (p *place) at(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return invalid("the storage's endpoint is no URL such as https://objects.example.com")
	}
	switch u.Scheme {
	case "https":
	case "http":
		addr, err := netip.ParseAddr(u.Hostname())
		if u.Hostname() != "localhost" && (err != nil || !addr.IsLoopback()) {
			return invalid("the storage's endpoint %s is not on this machine, and speaks no TLS", u.Host)
		}
		p.plain = true
	default:
		return invalid("the storage's endpoint is no URL such as https://objects.example.com")
	}
	p.endpoint = u.Host
	return nil
}
