package storage

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"
)

// s3Only lets answers through that an S3 service gave. A load balancer, a captive
// portal or a web server that answers 200 to everything would otherwise read as an
// empty bucket, and an empty listing as recordings that are gone.
type s3Only struct{ next http.RoundTripper }

func (t s3Only) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := t.next.RoundTrip(r)
	if err == nil && answer.StatusCode < http.StatusInternalServerError && answer.Header.Get("X-Amz-Request-Id") == "" {
		answer.Body.Close()
		return nil, fmt.Errorf("an answer with status %d that carries no request id", answer.StatusCode)
	}
	return answer, err
}

func transport() http.RoundTripper {
	return s3Only{&http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: answerLimit,
		IdleConnTimeout: 90 * time.Second, MaxIdleConnsPerHost: 16,
		DisableCompression: true, ForceAttemptHTTP2: true,
	}}
}

// signed are credentials that exist: the library's own chain signs nothing where
// it finds none, and a bucket that anybody may write is no place for evidence.
type signed struct{ *credentials.Chain }

var errNoCredentials = errors.New("no credentials are configured")

func (s signed) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	v, err := s.Chain.RetrieveWithCredContext(cc)
	if err == nil && v.AccessKeyID == "" {
		err = errNoCredentials
	}
	return v, err
}

func (s signed) Retrieve() (credentials.Value, error) {
	v, err := s.Chain.Retrieve()
	if err == nil && v.AccessKeyID == "" {
		err = errNoCredentials
	}
	return v, err
}

func (p place) login() *credentials.Credentials {
	list := []credentials.Provider{&credentials.FileAWSCredentials{Filename: p.credentials, Profile: p.profile}}
	if p.credentials == "" {
		list = []credentials.Provider{
			&credentials.EnvAWS{}, &credentials.FileAWSCredentials{Profile: p.profile}, &credentials.IAM{},
		}
	}
	return credentials.New(signed{&credentials.Chain{Providers: list}})
}
