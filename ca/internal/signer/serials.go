package signer

import "sync"

// serialWindow is how far below the highest serial a request may lie. Serials
// rise by one over all CAs, and each is signed a moment after it was reserved.
const serialWindow = 1 << 20

// serials knows which serials were signed: the last serialWindow of them bit by
// bit, and of all below that they are too old. It is the window of RFC 6479
// (IPsec's replay check), so that memory does not grow. The zero serials have
// seen none.
type serials struct {
	mu      sync.Mutex
	highest uint64
	seen    [serialWindow / 64]uint64 // ring, indexed by serial
}

// use marks serial as signed, and refuses it if it was, or could have been.
func (s *serials) use(serial uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if serial == 0 {
		return refusal("serial 0 is never issued")
	}
	if serial > s.highest {
		s.forget(serial)
		s.highest = serial
	} else if s.highest-serial >= serialWindow {
		return refusal("serial %d is too old: %d was signed", serial, s.highest)
	}
	word, bit := &s.seen[serial%serialWindow/64], uint64(1)<<(serial%64)
	if *word&bit != 0 {
		return refusal("serial %d was signed before", serial)
	}
	*word |= bit
	return nil
}

// forget clears the bits of the serials from highest+1 to serial, whose places
// in the ring the oldest had.
func (s *serials) forget(serial uint64) {
	if serial-s.highest >= serialWindow {
		clear(s.seen[:])
		return
	}
	for n := s.highest + 1; ; n++ {
		if n%64 == 0 && serial-n >= 64 {
			s.seen[n%serialWindow/64] = 0
			n += 63
		} else {
			s.seen[n%serialWindow/64] &^= 1 << (n % 64)
		}
		if n == serial {
			return
		}
	}
}
