package screen

import "strconv"

// set carries out SGR's parameters (ECMA-48, section 8.3.117, and xterm's).
// Colours come as 38;5;n and as 38:5:n, 38;2;r;g;b, 38:2:r:g:b and 38:2::r:g:b
// (ISO 8613-6).
func (st *style) set(params []byte) {
	var fields [maxParams]field
	list := split(params, fields[:0])
	for i := 0; i < len(list); i++ {
		f := list[i]
		switch {
		case f.n == 38 || f.n == 48 || f.n == 58:
			var c color
			var ok bool
			var used int
			if f.subs > 0 {
				c, ok = f.color()
			} else {
				c, used, ok = following(list[i+1:])
				i += used
			}
			if ok {
				*st.color(f.n) = c
			}
		case f.n == 4 && f.subs > 0:
			st.underline(f.sub[0])
		default:
			st.one(f.n)
		}
	}
}

// one carries out a parameter that stands alone.
func (st *style) one(n int) {
	switch {
	case n == 0:
		*st = style{}
	case n >= 30 && n <= 37:
		st.fg = indexed | color(n-30)
	case n >= 90 && n <= 97:
		st.fg = indexed | color(n-90+8)
	case n >= 40 && n <= 47:
		st.bg = indexed | color(n-40)
	case n >= 100 && n <= 107:
		st.bg = indexed | color(n-100+8)
	}
	switch n {
	case 1, 2, 3:
		st.attr |= bold << (n - 1)
	case 4:
		st.underline(1)
	case 5, 6:
		st.attr |= blink
	case 7:
		st.attr |= reverse
	case 8:
		st.attr |= hidden
	case 9:
		st.attr |= struck
	case 21:
		st.underline(2)
	case 22:
		st.attr &^= bold | faint
	case 23:
		st.attr &^= italic
	case 24:
		st.underline(0)
	case 25:
		st.attr &^= blink
	case 27:
		st.attr &^= reverse
	case 28:
		st.attr &^= hidden
	case 29:
		st.attr &^= struck
	case 39:
		st.fg = 0
	case 49:
		st.bg = 0
	case 53:
		st.attr |= overline
	case 55:
		st.attr &^= overline
	case 59:
		st.line = 0
	}
}

func (st *style) underline(kind int) {
	if kind >= 0 && kind <= 5 {
		st.attr = st.attr&^allUnderlines | underline*attr(kind)
	}
}

func (st *style) color(n int) *color {
	switch n {
	case 38:
		return &st.fg
	case 48:
		return &st.bg
	}
	return &st.line
}

// field is one parameter with what follows it after colons.
type field struct {
	n    int
	sub  [5]int // -1 where left out
	subs int
}

// split reads parameters; those that are left out are 0. What is no parameter
// ends them.
func split(b []byte, list []field) []field {
	f, at := field{}, -1 // at: the index in sub; -1 is n itself
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9' && at < 0:
			f.n = min(f.n*10+int(c-'0'), 1<<16)
		case c >= '0' && c <= '9' && at < len(f.sub):
			f.sub[at] = min(max(f.sub[at], 0)*10+int(c-'0'), 1<<16)
		case c >= '0' && c <= '9':
		case c == ':':
			if at++; at < len(f.sub) {
				f.sub[at] = -1
				f.subs = at + 1
			}
		case c == ';':
			if len(list) == cap(list) {
				return list
			}
			list = append(list, f)
			f, at = field{}, -1
		default:
			return list
		}
	}
	if len(list) < cap(list) {
		list = append(list, f)
	}
	return list
}

// color reads a colour from what stands after colons.
func (f field) color() (color, bool) {
	switch {
	case f.sub[0] == 5 && f.subs >= 2:
		return palette(f.sub[1])
	case f.sub[0] == 2 && f.subs == 4:
		return rgb(f.sub[1], f.sub[2], f.sub[3])
	case f.sub[0] == 2 && f.subs >= 5: // the first names a colour space
		return rgb(f.sub[2], f.sub[3], f.sub[4])
	}
	return 0, false
}

// following reads a colour from the parameters that follow, and says how many it
// took.
func following(list []field) (c color, used int, ok bool) {
	switch {
	case len(list) >= 2 && list[0].n == 5:
		c, ok = palette(list[1].n)
		return c, 2, ok
	case len(list) >= 4 && list[0].n == 2:
		c, ok = rgb(list[1].n, list[2].n, list[3].n)
		return c, 4, ok
	}
	return 0, len(list), false
}

func palette(n int) (color, bool) {
	return indexed | color(n), n >= 0 && n <= 255
}

func rgb(r, g, b int) (color, bool) {
	ok := r >= 0 && r <= 255 && g >= 0 && g <= 255 && b >= 0 && b <= 255
	return direct | color(r)<<16 | color(g)<<8 | color(b), ok
}

// appendTo appends the SGR sequence that sets st whatever was set before.
func (st style) appendTo(b []byte) []byte {
	b = append(b, "\x1b[0"...)
	for i := range 8 {
		if st.attr&(1<<i) != 0 {
			b = append(b, ';')
			b = append(b, [...]string{"1", "2", "3", "5", "7", "8", "9", "53"}[i]...)
		}
	}
	switch kind := st.attr & allUnderlines / underline; kind {
	case 0:
	case 1:
		b = append(b, ";4"...)
	default:
		b = strconv.AppendInt(append(b, ";4:"...), int64(kind), 10)
	}
	b = st.fg.appendTo(b, 38)
	b = st.bg.appendTo(b, 48)
	b = st.line.appendTo(b, 58)
	return append(b, 'm')
}

func (c color) appendTo(b []byte, which int) []byte {
	n := int64(c & 0xffffff)
	switch {
	case c == 0:
		return b
	case c&direct != 0:
		b = strconv.AppendInt(append(b, ';'), int64(which), 10)
		for _, shift := range []int{16, 8, 0} {
			sep := ";"
			if shift == 16 {
				sep = ";2;"
			}
			b = strconv.AppendInt(append(b, sep...), n>>shift&0xff, 10)
		}
		return b
	case n < 8 && which != 58:
		return strconv.AppendInt(append(b, ';'), int64(which-8)+n, 10)
	case n < 16 && which != 58:
		return strconv.AppendInt(append(b, ';'), int64(which+52)+n-8, 10)
	}
	b = strconv.AppendInt(append(b, ';'), int64(which), 10)
	return strconv.AppendInt(append(b, ";5;"...), n, 10)
}
