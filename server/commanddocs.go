package server

import (
	"dkv/resp"
	"dkv/server/command"
)

// commandDocs is COMMAND DOCS [name ...]: unknown names are left out.
func commandDocs(_ *Conn, x *command.Ctx) error {
	specs := topLevel()
	if len(x.Args) > 2 {
		specs = specs[:0]
		for _, name := range x.Args[2:] {
			if s := lookupFull(name); s != nil {
				specs = append(specs, s)
			}
		}
	}
	writeDocs(x.Out, specs)
	return nil
}

func writeDocs(w *resp.Writer, specs []*command.Spec) {
	w.Map(len(specs))
	for _, s := range specs {
		w.BulkString(s.Name)
		writeDoc(w, s)
	}
}

// fields collects the pairs of a map whose size is not known before.
type fields struct {
	resp.Writer
	n int
}

func (f *fields) name(name string) {
	f.n++
	f.BulkString(name)
}

// text adds a field unless it is empty.
func (f *fields) text(name, value string) {
	if value != "" {
		f.name(name)
		f.BulkString(value)
	}
}

func (f *fields) writeTo(w *resp.Writer) {
	w.Map(f.n)
	w.Raw(f.Buf)
}

// syscmds are commands that Redis marks as not meant for users.
var syscmds = map[string]bool{"debug": true}

func writeDoc(w *resp.Writer, s *command.Spec) {
	f := &fields{}
	f.Proto = w.Proto
	f.text("summary", s.Summary)
	f.text("since", s.Since)
	f.text("group", string(s.Group))
	f.text("complexity", s.Complexity)
	var flags []string
	if s.DeprecatedSince != "" {
		flags = append(flags, "deprecated")
	}
	if syscmds[s.Name] {
		flags = append(flags, "syscmd")
	}
	if len(flags) > 0 {
		f.name("doc_flags")
		writeNames(&f.Writer, "", flags)
	}
	f.text("deprecated_since", s.DeprecatedSince)
	f.text("replaced_by", s.ReplacedBy)
	if len(s.History) > 0 {
		f.name("history")
		f.Set(len(s.History))
		for _, change := range s.History {
			f.Array(2)
			f.BulkString(change.Since)
			f.BulkString(change.Text)
		}
	}
	if len(s.Args) > 0 {
		f.name("arguments")
		writeArgs(&f.Writer, s.Args)
	}
	if len(s.Subcommands) > 0 {
		f.name("subcommands")
		writeDocs(&f.Writer, s.Subcommands)
	}
	f.writeTo(w)
}

func writeArgs(w *resp.Writer, args []command.Arg) {
	w.Array(len(args))
	for i := range args {
		writeArg(w, &args[i])
	}
}

func writeArg(w *resp.Writer, a *command.Arg) {
	f := &fields{}
	f.Proto = w.Proto
	f.text("name", a.Name)
	f.text("type", string(a.Type))
	nested := a.Type == command.ArgOneOf || a.Type == command.ArgBlock
	if !nested {
		f.text("display_text", a.Name)
	}
	if a.Type == command.ArgKey {
		f.name("key_spec_index")
		f.Int(int64(a.KeySpec))
	}
	f.text("token", a.Token)
	f.text("since", a.Since)
	f.text("deprecated_since", a.DeprecatedSince)
	if flags := a.FlagNames(); len(flags) > 0 {
		f.name("flags")
		writeNames(&f.Writer, "", flags)
	}
	if nested {
		f.name("arguments")
		writeArgs(&f.Writer, a.Args)
	}
	f.writeTo(w)
}
