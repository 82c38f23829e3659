package storage_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/storage"
)

func TestStoragesAreNamedByURL(t *testing.T) {
	for _, row := range []struct{ url, is, says string }{
		{"file:///srv/recordings", "/srv/recordings", ""},
		{"s3://bucket", "s3://bucket at s3.amazonaws.com", ""},
		{"s3://bucket/a/b/?region=eu-central-1", "s3://bucket/a/b at s3.amazonaws.com", ""},
		{"s3://bucket/a?endpoint=https://objects.example.com:9000&credentials=/etc/s3", "s3://bucket/a at objects.example.com:9000", ""},
		{"s3://bucket?endpoint=http://localhost:9000&lock=governance", "s3://bucket at localhost:9000", ""},
		{"s3://bucket?endpoint=http://[::1]:9000", "s3://bucket at [::1]:9000", ""},

		{"", "", "neither file:// nor s3://"},
		{"/srv/recordings", "", "neither file:// nor s3://"},
		{"ftp://host/dir", "", "neither file:// nor s3://"},
		{"file://host/dir", "", "file:///absolute/path"},
		{"file:dir", "", "not a URL"},
		{"file:///dir?x=1", "", "file:///absolute/path"},
		{"s3:///prefix", "", "names no bucket"},
		{"s3://bucket:80/prefix", "", "names no bucket"},
		{"s3://bucket/a//b", "", "empty or dotted"},
		{"s3://bucket/../b", "", "empty or dotted"},
		{"s3://key:secret@bucket/prefix", "", "name or secret"},
		{"s3://bucket?secret=hunter2", "", "unknown"},
		{"s3://bucket?region=a&region=b", "", "more than once"},
		{"s3://bucket?region=", "", "empty"},
		{"s3://bucket?lock=off", "", "compliance or governance"},
		{"s3://bucket?credentials=relative", "", "absolute path"},
		{"s3://bucket?endpoint=objects.example.com", "", "no URL such as"},
		{"s3://bucket?endpoint=https://u:p@objects.example.com", "", "no URL such as"},
		{"s3://bucket?endpoint=https://objects.example.com/path", "", "no URL such as"},
		{"s3://bucket?endpoint=http://objects.example.com", "", "speaks no TLS"},
		{"s3://bucket?endpoint=http://10.0.0.1:9000", "", "speaks no TLS"},
		{"s3://b%zz", "", "not a URL"},
	} {
		s, err := storage.Open(row.url, time.Now)
		if row.says == "" {
			if err != nil || s.String() != row.is {
				t.Errorf("%s: got %v, %v", row.url, s, err)
			}
			continue
		}
		refused(t, fault.ConfigInvalid, err)
		if err == nil || !strings.Contains(err.Error(), row.says) || strings.Contains(err.Error(), "secret@") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: it says %v, want %q", row.url, err, row.says)
		}
	}
}

func FuzzOpen(f *testing.F) {
	for _, url := range []string{"file:///srv/recordings", "s3://bucket/a?region=b", "s3://k:s@bucket", "s3://b?endpoint=http://[::1]:9"} {
		f.Add(url)
	}
	f.Fuzz(func(t *testing.T, url string) {
		s, err := storage.Open(url, time.Now)
		if (s == nil) != (err != nil) || err != nil && fault.ReasonOf(err) != fault.ConfigInvalid {
			t.Errorf("%q: %v, %v", url, s, err)
		}
	})
}
