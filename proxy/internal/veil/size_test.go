package veil

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/recording/hour"
)

// packing is a recorder that packs frames into blocks, as large as a recorder's.
type packing struct {
	packer *recording.Packer
	veil   *recording.Veil
	next   uint64
	at     time.Duration
	out    []byte
	size   int
}

func newPacking(t *testing.T) *packing {
	h, err := recording.NewHeader(recording.Meta{Session: "7kq2-m9x4d"}, recording.ContentKey{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &packing{packer: recording.NewPacker(), veil: recording.NewContentKey().Veil(), next: 1}
	if err := p.packer.Start(h, recording.ContentKey{}, h.Chain()); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *packing) Append(kind recording.Kind, channel uint32, b []byte) error {
	p.packer.Add(recording.Frame{Number: p.next, At: p.at, Channel: channel, Kind: kind, Payload: b})
	p.next++
	if p.size += len(b) + recording.RecordSize; p.size > 512<<10 {
		p.out, p.size = p.packer.Block(p.out), 0
	}
	return nil
}

func (p *packing) Veiled(channel uint32, b []byte) (uint64, error) {
	b = append([]byte(nil), b...)
	p.veil.Apply(p.next, b)
	return p.next, p.Append(recording.KindVeiled, channel, b)
}

func (p *packing) Reveal(channel uint32, runs []recording.Run) error {
	return p.Append(recording.KindReveal, channel, recording.AppendReveal(nil, runs))
}

// TestTheVeilCostsLittleSpace: typed text stands in the recording twice, under
// the veil and revealed.
func TestTheVeilCostsLittleSpace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plain, veiled := newPacking(t), newPacking(t)
		term, began := New(veiled, 1), time.Now()
		for _, e := range hour.Script(1) {
			time.Sleep(time.Until(began.Add(e.At)))
			at := e.At.Truncate(time.Microsecond)
			plain.at, veiled.at = at, at
			plain.Append(e.Kind, 1, e.Payload)
			if e.Kind == recording.KindInput {
				term.Input(e.Payload)
			} else {
				term.Output(e.Payload)
			}
		}
		a, b := len(plain.packer.Block(plain.out)), len(veiled.packer.Block(veiled.out))
		t.Logf("an hour is %d bytes, and %d under the veil", a, b)
		if b > a+a/5 {
			t.Errorf("an hour is %d bytes, and %d under the veil", a, b)
		}
	})
}
