// Package find is what makes recordings searchable: the lines that were said in
// a session, the words in them, and the queries that ask for them.
//
// # Shape
//
//	words.go  text to words: what counts as one, and that the same text always gives the same
//	query.go  what a person asks, and whether a line is an answer
//	line.go   Line, and Chunk: some lines of one kind, packed, with their words
//	read.go   the lines of a recording
//
// The store keeps chunks and finds those that have all words of a query; whether
// a line in them is an answer is decided here (Query.Matches), so that every
// database answers alike.
//
// # Promises
//
// A line that a person saw or typed is found by any of its words, however the
// bytes came: typed letter by letter, redrawn, in colours. What was typed while
// the terminal did not echo is in no index. Limits keep one session from filling
// it (read.go); a session in which they were met says so.
//
// It does not promise to find what a full-screen program drew piece by piece: of
// a screen the lines that were finished count.
//
// The package is pure.
package find
