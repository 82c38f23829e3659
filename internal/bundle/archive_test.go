package bundle

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sallyport-ssh/sallyport/internal/rig"
)

func TestWhatWasWrittenIsRead(t *testing.T) {
	b := plainBundle(t)
	file := packed(t, b)
	got, err := unpack(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b, got, cmpopts.IgnoreUnexported(Bundle{}), cmpopts.IgnoreFields(Bundle{}, "Recording", "Trust.About")); diff != "" {
		t.Errorf("(-written +read)\n%s", diff)
	}
	if recorded, err := io.ReadAll(io.NewSectionReader(got.Recording, 0, got.Recording.Size())); err != nil || !bytes.HasPrefix(recorded, []byte("recorded recorded")) || len(recorded) != 9000 {
		t.Errorf("the recording is %d bytes, %v", len(recorded), err)
	}
	if !bytes.Equal(packed(t, got), file) {
		t.Error("written again it is another file")
	}
	if !strings.Contains(got.Trust.About, "NOT TO BE TRUSTED") {
		t.Errorf("its keys say of themselves %q", got.Trust.About)
	}
}

// TestOtherProgramsOpenIt uses what an auditor has anyway.
func TestOtherProgramsOpenIt(t *testing.T) {
	tarPath, sums, keygen := rig.Need(t, "tar", "tar"), rig.Need(t, "sha256sum", "coreutils"), rig.Need(t, "ssh-keygen", "openssh-client")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x.bundle"), packed(t, plainBundle(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(in, name string, args ...string) string {
		t.Helper()
		cmd := exec.Command(name, args...)
		cmd.Dir = in
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", cmd, err, out)
		}
		return string(out)
	}
	run(dir, tarPath, "-xf", "x.bundle")
	folder := filepath.Join(dir, string(testSession))
	if out := run(folder, sums, "-c", "--strict", "SHA256SUMS"); strings.Count(out, ": OK\n") != len(members)-1 {
		t.Errorf("sha256sum says\n%s", out)
	}
	for file, want := range map[string]string{
		memberLogin: "you@example.com", memberSession: "postgres@n-000000000001", memberHost: "proxy=p-2",
	} {
		if out := run(folder, keygen, "-L", "-f", file); !strings.Contains(out, want) {
			t.Errorf("ssh-keygen does not see %s in %s:\n%s", want, file, out)
		}
	}
	if readme, err := os.ReadFile(filepath.Join(folder, memberReadme)); err != nil || !bytes.Contains(readme, []byte("verify "+testSession+Suffix)) {
		t.Errorf("the README does not say how to verify: %v", err)
	}
}

// file is a member as an attacker writes it.
type file struct {
	tar.Header
	content string
}

// tampered writes b's members after change, with another's tar.
func tampered(t *testing.T, b *Bundle, change func([]file) []file) []byte {
	t.Helper()
	var list []file
	in := tar.NewReader(bytes.NewReader(packed(t, b)))
	for {
		h, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, file{*h, string(content)})
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range change(list) {
		if f.Typeflag == tar.TypeReg {
			f.Size = int64(len(f.content))
		}
		if err := w.WriteHeader(&f.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// at is the index of a member in a bundle.
func at(name string) int { return place(name) }

func TestAnArchiveIsRefused(t *testing.T) {
	b := plainBundle(t)
	if _, err := unpack(tampered(t, b, func(all []file) []file { return all })); err != nil {
		t.Fatalf("the test's own tar is refused: %v", err)
	}
	folder := string(testSession) + "/"
	insert := func(name string, f file) func([]file) []file {
		return func(all []file) []file {
			f.Mode, f.ModTime = 0o600, time.Unix(0, 0)
			return append(all[:at(name):at(name)], append([]file{f}, all[at(name):]...)...)
		}
	}
	edit := func(name string, change func(*file)) func([]file) []file {
		return func(all []file) []file { change(&all[at(name)]); return all }
	}
	for name, c := range map[string]struct {
		change func([]file) []file
		member string
		what   string
	}{
		"a member that nobody knows":           {insert(memberLog, file{Header: tar.Header{Typeflag: tar.TypeReg, Name: folder + "install.sh"}}), "", `install.sh" is no part of a bundle`},
		"a path out of the folder":             {insert(memberLog, file{Header: tar.Header{Typeflag: tar.TypeReg, Name: "../../etc/passwd"}}), "", "is no part of a bundle"},
		"an absolute path":                     {insert(memberReadme, file{Header: tar.Header{Typeflag: tar.TypeReg, Name: "/etc/passwd"}}), "", "is not named as a session"},
		"a path with a detour":                 {edit(memberLog, func(f *file) { f.Name = folder + "../" + folder + memberLog }), "", "is no part of a bundle"},
		"a second recording":                   {func(all []file) []file { return append(all[:at(memberRecording)+1], all[at(memberRecording):]...) }, memberRecording, "it is there twice"},
		"a second recording at the end":        {func(all []file) []file { return append(all, all[at(memberRecording)]) }, "", "something stands where the archive should end"},
		"no recording":                         {func(all []file) []file { return append(all[:at(memberRecording)], all[at(memberRecording)+1:]...) }, memberRecording, "it is missing: session-cert.pub stands in its place"},
		"no log":                               {func(all []file) []file { return append(all[:at(memberLog)], all[at(memberLog)+1:]...) }, memberLog, "it is missing"},
		"nothing after the log":                {func(all []file) []file { return all[:at(memberLogin)] }, memberLogin, "it is missing"},
		"members in another order":             {func(all []file) []file { all[2], all[3] = all[3], all[2]; return all }, memberCheckpoint, "it is missing: host-cert.pub"},
		"a member of another session's folder": {edit(memberLog, func(f *file) { f.Name = "8kq2-m9x4d/" + memberLog }), memberLog, `it lies in folder "8kq2-m9x4d"`},
		"a folder that is no session":          {func(all []file) []file { all[0].Name = "evil/" + memberReadme; return all }, "", `"evil" is not named as a session`},
		"a symbolic link":                      {edit(memberLogin, func(f *file) { f.Typeflag, f.Linkname, f.content = tar.TypeSymlink, "/etc/passwd", "" }), memberLogin, "it is no plain file"},
		"a hard link":                          {edit(memberLogin, func(f *file) { f.Typeflag, f.Linkname, f.content = tar.TypeLink, folder+memberReadme, "" }), memberLogin, "it is no plain file"},
		"a directory":                          {insert(memberReadme, file{Header: tar.Header{Typeflag: tar.TypeDir, Name: folder}}), "", "is no part of a bundle"},
		"a device":                             {edit(memberLogin, func(f *file) { f.Typeflag, f.content = tar.TypeChar, "" }), memberLogin, "it is no plain file"},
		"another mode":                         {edit(memberLogin, func(f *file) { f.Mode = 0o4755 }), memberLogin, "its tar header is not as a bundle's is"},
		"an owner":                             {edit(memberLogin, func(f *file) { f.Uid, f.Uname = 1000, "ann" }), memberLogin, "its tar header is not"},
		"a time":                               {edit(memberLogin, func(f *file) { f.ModTime = began }), memberLogin, "its tar header is not"},
		"a PAX record":                         {edit(memberLogin, func(f *file) { f.PAXRecords, f.Format = map[string]string{"SALLYPORT.x": "y"}, tar.FormatPAX }), memberLogin, "its tar header cannot be read"},
		"a name of a thousand letters":         {insert(memberLogin, file{Header: tar.Header{Typeflag: tar.TypeReg, Name: folder + strings.Repeat("x", 1000)}}), memberLogin, "its tar header cannot be read"},
		"a README of a megabyte":               {edit(memberReadme, func(f *file) { f.content = strings.Repeat("x", 1<<20) }), memberReadme, "more than it may have"},
		"a certificate with a line after it":   {edit(memberLogin, func(f *file) { f.content += f.content }), memberLogin, "it is no certificate"},
		"a certificate with another comment":   {edit(memberLogin, func(f *file) { f.content = strings.Replace(f.content, "\n", " root\n", 1) }), memberLogin, "its line is not as a bundle has it"},
		"a plain key for a certificate":        {edit(memberLogin, func(f *file) { f.content = plainBundle(t).Trust.UserCA[0] + "\n" }), memberLogin, "no certificate"},
		"a log entry twice":                    {edit(memberLog, func(f *file) { f.content = strings.Replace(f.content, `"index":7`, `"index":3`, 1) }), memberLog, "entry 3 is there twice"},
		"log entries out of order":             {edit(memberLog, func(f *file) { f.content = strings.Replace(f.content, `"index":7`, `"index":1`, 1) }), memberLog, "out of order"},
		"a log entry with two events":          {edit(memberLog, func(f *file) { f.content = strings.Replace(f.content, `"event"`, `"event":{},"event"`, 1) }), memberLog, "spelled in another way"},
		"a log entry with an unknown field":    {edit(memberLog, func(f *file) { f.content = strings.Replace(f.content, `"event"`, `"note":1,"event"`, 1) }), memberLog, "unknown field"},
		"a log of something else":              {edit(memberLog, func(f *file) { f.content = "{}" }), memberLog, "no list of log entries"},
		"trust.json with an unknown field":     {edit(memberTrust, func(f *file) { f.content = strings.Replace(f.content, `"user_ca"`, `"root_ca"`, 1) }), memberTrust, "unknown field"},
		"trust.json with a certificate as key": {edit(memberTrust, func(f *file) {
			line, _ := certificateLine(b.LoginCertificate)
			f.content = strings.Replace(f.content, b.Trust.UserCA[0], strings.TrimSpace(string(line)), 1)
		}), memberTrust, "no list of keys"},
		"sums without the recording": {edit(memberSums, func(f *file) {
			lines := strings.SplitAfter(f.content, "\n")
			f.content = strings.Join(append(lines[:5:5], lines[6:]...), "")
		}), memberSums, "no line for recording.rec"},
		"sums of one file more": {edit(memberSums, func(f *file) { f.content += strings.Repeat("0", 64) + "  x\n" }), memberSums, "something follows"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := unpack(tampered(t, b, c.change))
			var damage *DamageError
			if !errors.As(err, &damage) {
				t.Fatalf("got %v", err)
			}
			if damage.Member != c.member || !strings.Contains(err.Error(), c.what) {
				t.Errorf("member %q: %v", damage.Member, err)
			}
		})
	}
}

func TestAFileCutAnywhereIsRefused(t *testing.T) {
	whole := packed(t, plainBundle(t))
	for size := range len(whole) {
		_, err := unpack(whole[:size])
		var damage *DamageError
		if !errors.As(err, &damage) {
			t.Fatalf("cut to %d bytes: %v", size, err)
		}
	}
	if _, err := unpack(append(whole, 0)); err == nil || !strings.Contains(err.Error(), "1 bytes follow its end") {
		t.Errorf("with a byte more: %v", err)
	}
}

// TestAHeaderThatLiesAllocatesNothing: a size of a tebibyte is refused before
// anything is done about it.
func TestAHeaderThatLiesAllocatesNothing(t *testing.T) {
	whole := packed(t, plainBundle(t))
	for _, size := range []int64{1 << 20, 8 << 30, 1 << 39, 1 << 41} {
		head, err := header(testSession, memberReadme, size)
		if err != nil {
			t.Fatal(err)
		}
		lying := append(head, whole[blockSize:]...)
		if n := testing.AllocsPerRun(1, func() { _, err = unpack(lying) }); err == nil || n > 200 {
			t.Errorf("size %d: %v allocations, %v", size, n, err)
		}
		if head, err = header(testSession, memberRecording, size); err != nil {
			t.Fatal(err)
		}
		lying = bytes.Clone(whole)
		copy(lying[bytes.Index(lying, []byte(fmt.Sprint(testSession, "/", memberRecording))):], head)
		if _, err := unpack(lying); err == nil || !strings.Contains(err.Error(), memberRecording) {
			t.Errorf("a recording of size %d: %v", size, err)
		}
	}
}

// FuzzRead: whatever is taken for a bundle is written again, and read the same.
func FuzzRead(f *testing.F) {
	f.Fuzz(func(t *testing.T, file []byte) {
		b, err := unpack(file)
		if err != nil {
			return
		}
		again, err := unpack(packed(t, b))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(b, again, cmpopts.IgnoreUnexported(Bundle{}), cmpopts.IgnoreFields(Bundle{}, "Recording", "Trust.About")); diff != "" {
			t.Errorf("(-read +read again)\n%s", diff)
		}
	})
}
