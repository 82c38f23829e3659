package siem

import "github.com/sallyport-ssh/sallyport/internal/audit"

// severity as OCSF has it (severity_id); CEF's is derived.
type severity int

const (
	informational severity = 1
	low           severity = 2
	medium        severity = 3
	high          severity = 4
	critical      severity = 5
)

// class is a class of OCSF events (class_uid).
type class int

const (
	authentication class = 3002
	entity         class = 3004 // Entity Management
	sshActivity    class = 4007
	lifecycle      class = 6002 // Application Lifecycle
	finding        class = 2004 // Detection Finding
)

// Activities, by class.
const (
	logon, logoff                 = 1, 2
	opened, closed, refused       = 1, 2, 5
	create, read, update, deleted = 1, 2, 3, 4
	enroll, unenroll              = 6, 7
	started                       = 3
	other                         = 99
)

// meaning is what a kind is in the other forms.
type meaning struct {
	name     string
	severity severity

	class    class
	activity int
	entity   string // what an entity event is about

	category []string // ECS event.category
	types    []string // ECS event.type
}

// meanings has every kind of audit.Kinds; a test walks them.
var meanings = map[audit.Kind]meaning{
	audit.LoginGranted: {"Signed in", informational, authentication, logon, "", ecs("authentication"), ecs("start")},
	audit.LoginRefused: {"Sign-in refused", medium, authentication, logon, "", ecs("authentication"), ecs("start")},
	audit.LoginEnded:   {"Signed out", informational, authentication, logoff, "", ecs("authentication"), ecs("end")},

	audit.CertificateIssued:  {"Certificate issued", informational, entity, create, "certificate", ecs("iam"), ecs("creation")},
	audit.CertificateRevoked: {"Certificate revoked", low, entity, deleted, "certificate", ecs("iam"), ecs("deletion")},

	audit.SessionGranted: {"Session granted", informational, sshActivity, opened, "", ecs("session", "network"), ecs("start", "allowed")},
	audit.SessionDenied:  {"Session denied", medium, sshActivity, refused, "", ecs("session", "network"), ecs("start", "denied")},
	audit.SessionEnded:   {"Session ended", informational, sshActivity, closed, "", ecs("session", "network"), ecs("end")},

	audit.RecordingStarted:  {"Recording started", informational, entity, create, "recording", ecs("file"), ecs("creation")},
	audit.RecordingSealed:   {"Recording sealed", informational, entity, update, "recording", ecs("file"), ecs("change")},
	audit.RecordingLost:     {"Recording lost", high, entity, other, "recording", ecs("file"), ecs("info")},
	audit.RecordingRead:     {"Recording read", low, entity, read, "recording", ecs("file"), ecs("access")},
	audit.RecordingOpened:   {"Recording opened with the CA's key", low, entity, read, "recording", ecs("file"), ecs("access")},
	audit.RecordingHeld:     {"Recording put under legal hold", low, entity, update, "recording", ecs("file"), ecs("change")},
	audit.RecordingReleased: {"Recording released from legal hold", medium, entity, update, "recording", ecs("file"), ecs("change")},
	audit.RecordingDeleted:  {"Recording deleted", medium, entity, deleted, "recording", ecs("file"), ecs("deletion")},
	audit.RecordingSearched: {"Recordings searched", low, entity, read, "recording", ecs("file"), ecs("access")},

	audit.NodeEnrolled:     {"Node enrolled", low, entity, enroll, "node", ecs("configuration"), ecs("creation")},
	audit.NodeAdded:        {"Node added", low, entity, create, "node", ecs("configuration"), ecs("creation")},
	audit.NodeChanged:      {"Node changed", low, entity, update, "node", ecs("configuration"), ecs("change")},
	audit.NodeRemoved:      {"Node removed", low, entity, deleted, "node", ecs("configuration"), ecs("deletion")},
	audit.ProxyEnrolled:    {"Proxy enrolled", medium, entity, enroll, "proxy", ecs("configuration"), ecs("creation")},
	audit.EnrolmentRefused: {"Enrolment refused", medium, entity, enroll, "part", ecs("configuration"), ecs("info")},
	audit.TokenMade:        {"Join token made", low, entity, create, "join token", ecs("configuration"), ecs("creation")},
	audit.TokenRemoved:     {"Join token removed", low, entity, deleted, "join token", ecs("configuration"), ecs("deletion")},

	audit.PolicyApplied: {"Policy applied", low, entity, update, "policy", ecs("configuration", "iam"), ecs("change")},
	audit.PolicyRefused: {"Policy refused", medium, entity, update, "policy", ecs("configuration", "iam"), ecs("change")},
	audit.AdminRefused:  {"Administrative request refused", medium, entity, other, "request", ecs("configuration", "iam"), ecs("info")},
	audit.CAStarted:     {"CA started", informational, lifecycle, started, "", ecs("process"), ecs("start")},
	audit.LogDamaged:    {"Audit log damaged", critical, finding, create, "", ecs("intrusion_detection"), ecs("info")},
}

func ecs(words ...string) []string { return words }

// meaningOf is that of a kind, also of one that a later version wrote.
func meaningOf(k audit.Kind) meaning {
	if m, ok := meanings[k]; ok {
		return m
	}
	return meaning{string(k), low, entity, other, "unknown", ecs("configuration"), ecs("info")}
}
