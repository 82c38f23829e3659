package storage

import (
	"context"
	"errors"

	"github.com/minio/minio-go/v7"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// code is the S3 error code of err: "" for nil, "?" for what is none.
func code(err error) string {
	if err == nil {
		return ""
	}
	var r minio.ErrorResponse
	if !errors.As(err, &r) || r.Code == "" {
		return "?"
	}
	return r.Code
}

// kept says whether a deletion was refused for good: by object lock, or for want
// of the right to delete. Services tell these apart in prose alone.
func kept(err error) bool {
	c := code(err)
	return c == "AccessDenied" || c == "ObjectLocked"
}

// away names what is wrong with the service. A fault stays what it is.
func (s *S3) away(err error) error {
	var f *fault.Error
	if err == nil || errors.As(err, &f) {
		return err
	}
	switch c := code(err); c {
	case "NoSuchBucket":
		return away("the storage %s has no such bucket", s).Then("make the bucket, or correct the storage's URL").Because(err)
	case "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "InvalidTokenId",
		"AuthorizationHeaderMalformed", "AccountProblem":
		s.login.Expire() // their file may have been replaced
		return away("the storage %s refuses our credentials", s).Then("see the file that credentials= names, and its rights on the bucket").Because(err)
	case "RequestTimeTooSkewed":
		return away("the storage %s refuses us because our clock differs from its", s).Because(err)
	case "SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "Throttling", "TooManyRequests":
		return away("the storage %s asks us to come back later", s).Because(err)
	case "?":
		if errors.Is(err, errNoCredentials) {
			return away("there are no credentials for the storage %s", s).Then("name an AWS credentials file with credentials=").Because(err)
		}
		if errors.Is(err, context.DeadlineExceeded) {
			return away("the storage %s does not answer in time", s).Because(err)
		}
		return away("the storage %s does not answer, or not as S3 does", s).Because(err)
	default:
		return away("the storage %s refuses a request with %s", s, c).Because(err)
	}
}
