package store

import "github.com/sallyport-ssh/sallyport/internal/fault"

// away is what callers see when the database cannot be reached.
func away(err error) error {
	return fault.New(fault.Unavailable, fault.StoreAway, "the database does not answer").
		Then("try again in a moment").Because(err)
}

// answer makes every error a fault.
func answer(err error) error {
	if err == nil {
		return nil
	}
	return fault.Of(err)
}

// awayError ends a try: the database took it away from us.
type awayError struct {
	doing string
	again bool // nothing can have happened, and another try may work
	err   error
}

func (e *awayError) Error() string { return e.doing + ": " + e.err.Error() }
func (e *awayError) Unwrap() error { return e.err }
