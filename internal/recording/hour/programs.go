package hour

import (
	"fmt"
	"strings"
	"time"
)

// What the commands of the hour print.

func (s *session) clock() string {
	t := time.Date(2026, 3, 2, 14, 2, 0, 0, time.UTC).Add(s.at)
	return t.Format("Jan 02 15:04:05")
}

func (s *session) hex(n int) string {
	var b strings.Builder
	for range n {
		b.WriteByte("0123456789abcdef"[s.rng.IntN(16)])
	}
	return b.String()
}

func (s *session) path() string {
	p := "/srv"
	for range 1 + s.rng.IntN(4) {
		p += "/" + s.word()
	}
	return p
}

func (s *session) list() {
	var b strings.Builder
	n := 5 + s.rng.IntN(60)
	fmt.Fprintf(&b, "total %d\n", s.rng.IntN(9000))
	for range n {
		name := s.word() + "-" + s.word()
		if s.rng.IntN(4) == 0 {
			fmt.Fprintf(&b, "drwxr-xr-x %2d deploy deploy %8d Feb %2d %02d:%02d \x1b[0m\x1b[01;34m%s\x1b[0m\n", 2+s.rng.IntN(9), 4096, 1+s.rng.IntN(28), s.rng.IntN(24), s.rng.IntN(60), name)
			continue
		}
		fmt.Fprintf(&b, "-rw-r--r--  1 deploy deploy %8d Feb %2d %02d:%02d %s.%s\n", s.rng.IntN(1<<(8+s.rng.IntN(16))), 1+s.rng.IntN(28), s.rng.IntN(24), s.rng.IntN(60), name, []string{"go", "yaml", "log", "md", "json"}[s.rng.IntN(5)])
	}
	s.run("ls -la "+s.path(), b.String())
}

func (s *session) processes() {
	var b strings.Builder
	b.WriteString("USER         PID %CPU %MEM    VSZ   RSS TTY      STAT START   TIME COMMAND\n")
	for range 40 + s.rng.IntN(80) {
		fmt.Fprintf(&b, "%-8s %7d %4.1f %4.1f %6d %5d ?        %-4s %02d:%02d %3d:%02d /usr/%s/%s --%s=%s\n",
			[]string{"root", "deploy", "www-data", "postgres"}[s.rng.IntN(4)], s.rng.IntN(400000), s.rng.Float64()*9, s.rng.Float64()*4,
			s.rng.IntN(900000), s.rng.IntN(90000), []string{"Ss", "S", "Sl", "S+", "I<"}[s.rng.IntN(5)],
			s.rng.IntN(24), s.rng.IntN(60), s.rng.IntN(300), s.rng.IntN(60), []string{"sbin", "bin", "lib"}[s.rng.IntN(3)], s.word(), s.word(), s.path())
	}
	s.run("ps aux", b.String())
}

func (s *session) journal() {
	var b strings.Builder
	for range 40 + s.rng.IntN(260) {
		fmt.Fprintf(&b, "%s web-1 %s[%d]: level=%s req=%s %s took=%dms\n", s.clock(), s.word(), s.rng.IntN(400000),
			[]string{"info", "info", "info", "warn", "error"}[s.rng.IntN(5)], s.hex(16), s.sentence(4+s.rng.IntN(9)), s.rng.IntN(3000))
	}
	s.run("journalctl -u "+s.word()+" -n 200 --no-pager", b.String())
}

func (s *session) gitLog() {
	var b strings.Builder
	for range 10 + s.rng.IntN(50) {
		fmt.Fprintf(&b, "\x1b[33m%s\x1b[m %s: %s\n", s.hex(9), s.word(), s.sentence(3+s.rng.IntN(8)))
	}
	s.run("git --no-pager log --oneline -n 60", b.String())
}

func (s *session) cat() {
	var b strings.Builder
	for range 20 + s.rng.IntN(150) {
		fmt.Fprintf(&b, "%s%s: %s\n", strings.Repeat("  ", s.rng.IntN(4)), s.word(), s.sentence(1+s.rng.IntN(7)))
	}
	s.run("cat "+s.path()+".yaml", b.String())
}

func (s *session) grep() {
	var b strings.Builder
	word := s.word()
	for range 3 + s.rng.IntN(90) {
		fmt.Fprintf(&b, "\x1b[35m\x1b[K%s.go\x1b[m\x1b[K\x1b[36m\x1b[K:\x1b[m\x1b[K\x1b[32m\x1b[K%d\x1b[m\x1b[K\x1b[36m\x1b[K:\x1b[m\x1b[K\t%s \x1b[01;31m\x1b[K%s\x1b[m\x1b[K %s\n",
			s.path(), s.rng.IntN(900), s.sentence(2), word, s.sentence(4))
	}
	s.run("grep -rn "+word+" "+s.path(), b.String())
}

func (s *session) short() {
	switch s.rng.IntN(4) {
	case 0:
		s.run("date", s.clock()+"\n")
	case 1:
		s.run("cd "+s.path(), "")
	case 2:
		s.run("uptime", fmt.Sprintf(" %s up %d days,  load average: %.2f, %.2f, %.2f\n", s.clock()[7:], s.rng.IntN(90), s.rng.Float64(), s.rng.Float64(), s.rng.Float64()))
	case 3:
		s.run("sudo systemctl restart "+s.word(), "")
	}
}

func (s *session) build() {
	s.command("make test")
	for range 20 + s.rng.IntN(120) {
		s.print(fmt.Sprintf("ok  \texample.com/%s/%s\t%.3fs\r\n", s.word(), s.word(), s.rng.Float64()*4))
		s.wait(250 * time.Millisecond)
	}
	s.prompt()
}

// line is a line of source with an editor's colours.
func (s *session) line() string {
	return fmt.Sprintf("\x1b[%dm%s\x1b[m %s(\x1b[35m%q\x1b[m, %d)", 31+s.rng.IntN(6), s.word(), s.word(), s.sentence(1+s.rng.IntN(5)), s.rng.IntN(1000))
}

func (s *session) screen(top int) {
	var b strings.Builder
	b.WriteString("\x1b[?25l\x1b[H\x1b[2J")
	for y := range Rows - 1 {
		fmt.Fprintf(&b, "\x1b[%d;1H\x1b[33m%4d \x1b[m%s\x1b[K", y+1, top+y, s.line())
	}
	fmt.Fprintf(&b, "\x1b[%d;1H\x1b[?25h", Rows)
	s.print(b.String())
}

// vim moves, pages and types in insert mode, which redraws line, ruler, cursor.
func (s *session) vim() {
	s.command("vim " + s.path() + ".go")
	s.print("\x1b[?1049h\x1b[22;0;0t\x1b[?1h\x1b=\x1b[?2004h\x1b[1;36r\x1b[?12h\x1b[?12l")
	top := 1
	s.screen(top)
	for range 6 + s.rng.IntN(10) {
		for range 4 + s.rng.IntN(20) {
			s.key([]string{"j", "k", "w", "\x1b[B", "\x1b[A"}[s.rng.IntN(5)])
			y := 1 + s.rng.IntN(Rows-1)
			s.print(fmt.Sprintf("\x1b[?25l\x1b[%d;103H%d,%d\x1b[8C\x1b[%d;%dH\x1b[?25h", Rows, top+y, s.rng.IntN(60), y, 6+s.rng.IntN(60)))
		}
		if s.rng.IntN(2) == 0 {
			top += Rows
			s.key("\x06")
			s.screen(top)
		}
		s.key("i")
		s.print(fmt.Sprintf("\x1b[?25l\x1b[%d;1H\x1b[1m-- INSERT --\x1b[m\x1b[K\x1b[?25h", Rows))
		y := 1 + s.rng.IntN(Rows-1)
		for x, c := range s.sentence(3 + s.rng.IntN(10)) {
			s.key(string(c))
			s.print(fmt.Sprintf("\x1b[?25l%c\x1b[%d;103H%d\x1b[%d;%dH\x1b[?25h", c, Rows, x+1, y, x+7))
		}
		s.key("\x1b")
		s.print(fmt.Sprintf("\x1b[?25l\x1b[%d;1H\x1b[K\x1b[%d;%dH\x1b[?25h", Rows, y, 9))
	}
	for _, k := range ":wq\r" {
		s.key(string(k))
		s.print(string(k))
	}
	s.print("\x1b[?1l\x1b>\x1b[?1049l\x1b[23;0;0t")
	s.prompt()
}

func (s *session) less() {
	s.command("less " + s.path() + ".log")
	s.print("\x1b[?1049h\x1b[22;0;0t\x1b[?1h\x1b=\r")
	for range 5 + s.rng.IntN(40) {
		var b strings.Builder
		for range Rows - 1 {
			fmt.Fprintf(&b, "%s %s %s\x1b[m\r\n", s.clock(), s.hex(8), s.sentence(6+s.rng.IntN(8)))
		}
		s.print(b.String() + ":\x1b[K")
		s.wait(3 * time.Second)
		s.key(" ")
		s.print("\r\x1b[K")
	}
	s.key("q")
	s.print("\r\x1b[K\x1b[?1l\x1b>\x1b[?1049l\x1b[23;0;0t")
	s.prompt()
}

// top redraws its whole screen every three seconds, mostly as it was.
func (s *session) top() {
	s.command("top")
	type row struct {
		pid, virt, res int
		name           string
	}
	rows := make([]row, Rows-8)
	for i := range rows {
		rows[i] = row{s.rng.IntN(400000), s.rng.IntN(9000000), s.rng.IntN(900000), s.word()}
	}
	s.print("\x1b[?1h\x1b=\x1b[?25l\x1b[H\x1b[2J\x1b(B\x1b[m")
	for range 30 + s.rng.IntN(90) {
		var b strings.Builder
		fmt.Fprintf(&b, "\x1b[H\x1b(B\x1b[mtop - %s up 41 days,  2 users,  load average: %.2f, %.2f, %.2f\x1b(B\x1b[m\x1b[39;49m\x1b(B\x1b[m\x1b[39;49m\x1b[K\r\n", s.clock()[7:], s.rng.Float64(), s.rng.Float64(), s.rng.Float64())
		fmt.Fprintf(&b, "%%Cpu(s):\x1b(B\x1b[m\x1b[39;49m\x1b[1m %4.1f \x1b(B\x1b[m\x1b[39;49mus,\x1b[1m %4.1f \x1b(B\x1b[m\x1b[39;49msy,\x1b[1m %4.1f \x1b(B\x1b[m\x1b[39;49mid\x1b[K\r\n", s.rng.Float64()*30, s.rng.Float64()*10, 60+s.rng.Float64()*40)
		fmt.Fprintf(&b, "MiB Mem :\x1b[1m %8.1f \x1b(B\x1b[m\x1b[39;49mtotal,\x1b[1m %8.1f \x1b(B\x1b[m\x1b[39;49mfree\x1b[K\r\n\x1b[K\r\n", 7951.3, 300+s.rng.Float64()*200)
		b.WriteString("\x1b[7m    PID USER      PR  NI    VIRT    RES    SHR S  %CPU  %MEM     TIME+ COMMAND            \x1b(B\x1b[m\x1b[39;49m\x1b[K")
		if i := s.rng.IntN(len(rows) - 1); s.rng.IntN(2) == 0 {
			rows[i], rows[i+1] = rows[i+1], rows[i]
		}
		for _, r := range rows {
			fmt.Fprintf(&b, "\r\n\x1b(B\x1b[m%7d deploy    20   0 %7d %6d  12344 S %5.1f %5.1f %3d:%02d.%02d %s\x1b(B\x1b[m\x1b[39;49m\x1b[K",
				r.pid, r.virt, r.res+s.rng.IntN(40), s.rng.Float64()*3, float64(r.res)/90000, r.pid%60, s.rng.IntN(60), s.rng.IntN(100), r.name)
		}
		b.WriteString("\x1b[J")
		s.print(b.String())
		s.wait(3 * time.Second)
	}
	s.key("q")
	s.print(fmt.Sprintf("\x1b[?1l\x1b>\x1b[%d;1H\r\n\x1b[?12l\x1b[?25h\x1b[K", Rows))
	s.prompt()
}
