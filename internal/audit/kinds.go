package audit

import "slices"

var kinds = []Kind{
	LoginGranted, LoginRefused, LoginEnded,
	CertificateIssued,
	SessionGranted, SessionDenied, SessionEnded,
	RecordingStarted, RecordingSealed, RecordingLost, RecordingRead, RecordingOpened,
	RecordingHeld, RecordingReleased, RecordingDeleted, RecordingSearched,
	NodeEnrolled, NodeAdded, NodeChanged, NodeRemoved, ProxyEnrolled, EnrolmentRefused, TokenMade, TokenRemoved,
	PolicyApplied, PolicyRefused, AdminRefused, CAStarted, LogDamaged,
}

// Kinds is the closed list.
func Kinds() []Kind { return slices.Clone(kinds) }
