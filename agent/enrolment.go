package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// enrolment is what a node remembers of having been enrolled.
type enrolment struct {
	CA     string            `json:"ca"`   // the people's door, for people to read
	Door   wire.PartsDoor    `json:"door"` // with the pinned key
	Node   id.Node           `json:"node"`
	Name   id.NodeName       `json:"name"`
	Labels map[string]string `json:"labels,omitempty"` // as of then; the CA's may have changed
}

const (
	enrolmentFile = "enrolment.json"
	identityFile  = "identity.key"
	lockName      = "lock"
)

// loadEnrolment reads it; not_enrolled when there is none.
func loadEnrolment(dir string) (enrolment, error) {
	var e enrolment
	data, err := os.ReadFile(filepath.Join(dir, enrolmentFile))
	if errors.Is(err, fs.ErrNotExist) {
		return e, fault.New(fault.Missing, fault.NotEnrolled, "this machine is not enrolled").
			Then("on an admin's machine: sallyport token create --name NAME; here: sallyport agent enroll --ca URL --token-file FILE")
	}
	if err != nil {
		return e, fmt.Errorf("read enrolment: %w", err)
	}
	err = wire.Decode(strings.NewReader(string(data)), 1<<20, &e)
	if err == nil {
		_, err = id.ParseNode(string(e.Node))
	}
	if err != nil {
		return e, fault.New(fault.Invalid, fault.ConfigInvalid, "%s is damaged", filepath.Join(dir, enrolmentFile)).
			Then("enrol again with a new join token").Because(err)
	}
	return e, nil
}

func (e enrolment) store(n *node) error {
	data, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("store enrolment: %w", err)
	}
	return n.installer.Disk.Write(filepath.Join(n.config.Dir, enrolmentFile), append(data, '\n'), 0o600)
}

// labels in the order of their names, "env=prod tier=web".
func (e enrolment) labels() string { return pairs(e.Labels) }
