package sftp

import (
	"strings"

	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// extension is an EXTENDED request that is known: OpenSSH's PROTOCOL, section 4,
// and draft-ietf-secsh-filexfer-extensions-00 for those without a domain.
type extension struct {
	op      string // what it is told as; its name where that is empty
	reply   uint8  // what answers it beside STATUS; 0 for nothing
	request func(*Parser, *request, *fields) error
}

var extensions = map[string]extension{
	"posix-rename@openssh.com":       {op: "rename", request: (*Parser).twoPaths},
	"hardlink@openssh.com":           {op: "hardlink", request: (*Parser).twoPaths},
	"statvfs@openssh.com":            {reply: typeExtendedReply, request: (*Parser).onePath},
	"fstatvfs@openssh.com":           {reply: typeExtendedReply, request: (*Parser).about},
	"fsync@openssh.com":              {op: "fsync", request: (*Parser).about},
	"lsetstat@openssh.com":           {op: "setstat", request: (*Parser).pathAndAttributes},
	"limits@openssh.com":             {reply: typeExtendedReply, request: (*Parser).nothing},
	"expand-path@openssh.com":        {op: "realpath", reply: typeName, request: (*Parser).onePath},
	"home-directory":                 {reply: typeName, request: (*Parser).onePath},
	"users-groups-by-id@openssh.com": {reply: typeExtendedReply, request: (*Parser).twoLists},
	"copy-data":                      {op: "copy", request: (*Parser).copyData},
}

// An extension that is not known is carried as long as its answer leaves nothing
// open: a HANDLE or DATA would be of a file that nobody can name.
var repliesUnknown = []uint8{typeExtendedReply, typeName, typeAttrs}

func (p *Parser) extended(r *request, f *fields) error {
	name := f.string()
	if f.short {
		return bad(Truncated)
	}
	if len(name) == 0 || len(name) > maxName {
		return bad(Type)
	}
	r.op.Op = recording.Printable(name)
	known, ok := extensions[string(name)]
	if !ok {
		if strings.HasPrefix(r.op.Op, "version-select") {
			return bad(Version) // what follows would be another protocol
		}
		r.replies = repliesUnknown
		f.take(len(f.b))
		return nil
	}
	if known.op != "" {
		r.op.Op = known.op
	}
	if known.reply != 0 {
		r.replies = []uint8{known.reply}
	}
	r.limits = string(name) == "limits@openssh.com"
	return known.request(p, r, f)
}

func (p *Parser) onePath(r *request, f *fields) error {
	r.op.Path = r.name(f)
	return nil
}

func (p *Parser) twoPaths(r *request, f *fields) error {
	r.op.Path, r.op.Target = r.name(f), r.name(f)
	return nil
}

func (p *Parser) pathAndAttributes(r *request, f *fields) error {
	r.op.Path = r.name(f)
	set(r.op, f.attributes())
	return nil
}

func (p *Parser) nothing(*request, *fields) error { return nil }

func (p *Parser) twoLists(_ *request, f *fields) error {
	f.string()
	f.string()
	return nil
}

// copyData has the node copy from one open file into another: nothing of it
// crosses, and so what is written there is not known.
func (p *Parser) copyData(r *request, f *fields) (err error) {
	if err = p.about(r, f); err != nil {
		return err
	}
	f.uint64()
	r.op.Size = int64(f.uint64()) // 0 is to the end
	if r.other, err = p.handle(f); err != nil {
		return err
	}
	f.uint64()
	if r.file.dir || r.other.dir {
		return bad(WrongHandle)
	}
	r.op.Target = r.other.op.Path
	return nil
}
