package script

import (
	"errors"
	"fmt"
	"strings"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"
	"github.com/yuin/gopher-lua/parse"

	"dkv/resp"
)

// compile turns source text into code. The error's text is that of the interpreter,
// "name:line: what near 'token'".
func compile(source, name string) (proto *lua.FunctionProto, err error) {
	if len(source) > maxScriptBytes {
		return nil, fmt.Errorf("%s:1: a script of %d bytes is larger than the limit of %d", name, len(source), maxScriptBytes)
	}
	if strings.HasPrefix(source, "\x1b") {
		return nil, fmt.Errorf("%s: bad header in precompiled chunk", name)
	}
	defer func() {
		if p := recover(); p != nil { // the compiler's way to refuse what is too large for it
			proto, err = nil, fmt.Errorf("%s: %v", name, p)
		}
	}()
	chunk, err := parse.Parse(strings.NewReader(source), name)
	if err != nil {
		return nil, syntaxError(err, source, name)
	}
	if chunk, err = rewrite(chunk, name); err != nil {
		return nil, err
	}
	proto, err = lua.Compile(chunk, name)
	if err != nil {
		return nil, compileError(err, name)
	}
	proto.IsVarArg &^= lua.VarArgNeedsArg // or each call would make a table of its arguments
	return proto, nil
}

// syntaxError words the parser's error as Lua does.
func syntaxError(err error, source, name string) error {
	var e *parse.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("%s:1: %s", name, strings.TrimSpace(err.Error()))
	}
	line, token := e.Pos.Line, e.Token
	if line == parse.EOF {
		line = strings.Count(source, "\n") + 1
		token = "<eof>"
	}
	what := "unexpected symbol"
	if m := strings.TrimSpace(e.Message); m != "" && m != "syntax error" && m != "parse error" {
		what = m
	}
	switch what {
	case "unterminated string":
		what = "unfinished string"
	case "unterminated multiline string":
		what = "unfinished long string"
	}
	return fmt.Errorf("%s:%d: %s near '%s'", name, line, what, token)
}

func compileError(err error, name string) error {
	var e *lua.CompileError
	if errors.As(err, &e) {
		return fmt.Errorf("%s:%d: %s", name, e.Line, e.Message)
	}
	return fmt.Errorf("%s: %s", name, err.Error())
}

// flags are what a script says of itself in its first line.
type flags uint8

const (
	flagNoWrites flags = 1 << iota
	flagAllowOOM
	flagAllowStale
	flagNoCluster
	flagAllowCrossSlot
)

var flagNames = []string{"no-writes", "allow-oom", "allow-stale", "no-cluster", "allow-cross-slot-keys"}

func parseFlag(name string) (flags, bool) {
	for i, n := range flagNames {
		if n == name {
			return 1 << i, true
		}
	}
	return 0, false
}

// shebang takes "#!lua flags=a,b" off a script. Line numbers stay as they were. A
// script without one may do everything, as before there were flags.
func shebang(source string) (body string, f flags, err error) {
	if !strings.HasPrefix(source, "#!") {
		return source, 0, nil
	}
	end := strings.IndexByte(source, '\n')
	if end < 0 {
		return "", 0, resp.Error("ERR Invalid script shebang")
	}
	words := strings.Fields(source[:end])
	if words[0] != "#!lua" {
		return "", 0, resp.Error("ERR Unexpected engine in script shebang: " + words[0])
	}
	for _, w := range words[1:] {
		list, ok := strings.CutPrefix(w, "flags=")
		if !ok {
			return "", 0, resp.Error("ERR Unknown lua shebang option: " + w)
		}
		for _, name := range strings.Split(list, ",") {
			if name == "" {
				continue
			}
			bit, known := parseFlag(name)
			if !known {
				return "", 0, resp.Error("ERR Unexpected flag in script shebang: " + name)
			}
			f |= bit
		}
	}
	return source[end:], f, nil
}

// Names of functions that the rewritten code calls; no source text can spell them.
const (
	concatName = "\x00concat"
	setName    = "\x00set"
	keyName    = "\x00key"
)

// rewriter replaces what the interpreter does without any bound, and otherwise than
// Lua: concatenation becomes a call of concat, an assignment to a computed index one
// of set. It also bounds the depth of the tree, which the compiler goes down.
type rewriter struct {
	name  string
	level int
	line  int
}

// tooDeep is panicked with and recovered in rewrite.
type tooDeep struct{ line int }

func rewrite(chunk []ast.Stmt, name string) (_ []ast.Stmt, err error) {
	w := rewriter{name: name}
	defer func() {
		if p := recover(); p != nil {
			d, ok := p.(tooDeep)
			if !ok {
				panic(p)
			}
			err = fmt.Errorf("%s:%d: chunk has too many syntax levels", name, d.line)
		}
	}()
	w.block(chunk)
	return chunk, nil
}

func (w *rewriter) enter(n int, at ast.PositionHolder) {
	if l := at.Line(); l > 0 {
		w.line = l
	}
	if w.level += n; w.level > maxChain {
		panic(tooDeep{w.line})
	}
}

func (w *rewriter) block(list []ast.Stmt) {
	for i := range list {
		list[i] = w.stmt(list[i])
	}
}

// levelCost is what a block or a table within another counts, when an operator within
// another counts one: there may be maxSyntaxLevels of the former, maxChain of the
// latter.
const levelCost = maxChain / maxSyntaxLevels

func (w *rewriter) stmt(s ast.Stmt) ast.Stmt {
	w.enter(levelCost, s)
	defer func() { w.level -= levelCost }()
	switch s := s.(type) {
	case *ast.AssignStmt:
		return w.assign(s)
	case *ast.LocalAssignStmt:
		w.exprs(s.Exprs)
	case *ast.FuncCallStmt:
		s.Expr = w.expr(s.Expr)
	case *ast.DoBlockStmt:
		w.block(s.Stmts)
	case *ast.WhileStmt:
		s.Condition = w.expr(s.Condition)
		w.block(s.Stmts)
	case *ast.RepeatStmt:
		s.Condition = w.expr(s.Condition)
		w.block(s.Stmts)
	case *ast.IfStmt:
		w.ifStmt(s)
	case *ast.NumberForStmt:
		s.Init, s.Limit = w.expr(s.Init), w.expr(s.Limit)
		if s.Step != nil {
			s.Step = w.expr(s.Step)
		}
		w.block(s.Stmts)
	case *ast.GenericForStmt:
		w.exprs(s.Exprs)
		w.block(s.Stmts)
	case *ast.FuncDefStmt:
		w.block(s.Func.Stmts)
	case *ast.ReturnStmt:
		w.exprs(s.Exprs)
	}
	return s
}

// ifStmt goes along a chain of elseifs, each of which is an if alone in the else of
// the one before.
func (w *rewriter) ifStmt(s *ast.IfStmt) {
	s.Condition = w.expr(s.Condition)
	w.block(s.Then)
	if next, chained := elseif(s); chained {
		w.enter(1, next)
		w.ifStmt(next)
		w.level--
		return
	}
	w.block(s.Else)
}

func elseif(s *ast.IfStmt) (*ast.IfStmt, bool) {
	if len(s.Else) != 1 {
		return nil, false
	}
	next, ok := s.Else[0].(*ast.IfStmt)
	return next, ok
}

func (w *rewriter) exprs(list []ast.Expr) {
	for i := range list {
		list[i] = w.expr(list[i])
	}
}

func (w *rewriter) expr(e ast.Expr) ast.Expr {
	cost := 1
	switch e.(type) {
	case *ast.TableExpr, *ast.FunctionExpr, *ast.FuncCallExpr:
		cost = levelCost / 2
	}
	w.enter(cost, e)
	defer func() { w.level -= cost }()
	switch e := e.(type) {
	case *ast.AttrGetExpr:
		e.Object, e.Key = w.expr(e.Object), w.expr(e.Key)
	case *ast.TableExpr:
		w.fields(e)
	case *ast.FuncCallExpr:
		if e.Func != nil {
			e.Func = w.expr(e.Func)
		}
		if e.Receiver != nil {
			e.Receiver = w.expr(e.Receiver)
		}
		w.exprs(e.Args)
	case *ast.LogicalOpExpr:
		e.Lhs, e.Rhs = w.expr(e.Lhs), w.expr(e.Rhs)
	case *ast.RelationalOpExpr:
		e.Lhs, e.Rhs = w.expr(e.Lhs), w.expr(e.Rhs)
	case *ast.ArithmeticOpExpr:
		e.Lhs, e.Rhs = w.expr(e.Lhs), w.expr(e.Rhs)
	case *ast.UnaryMinusOpExpr:
		e.Expr = w.expr(e.Expr)
	case *ast.UnaryNotOpExpr:
		e.Expr = w.expr(e.Expr)
	case *ast.UnaryLenOpExpr:
		e.Expr = w.expr(e.Expr)
	case *ast.FunctionExpr:
		w.block(e.Stmts)
	case *ast.StringConcatOpExpr:
		return w.concat(e)
	}
	return e
}

// concat makes one call of a chain of concatenations, whose last operand gives one
// value only.
func (w *rewriter) concat(e *ast.StringConcatOpExpr) ast.Expr {
	var args []ast.Expr
	var rest ast.Expr = e
	for {
		c, ok := rest.(*ast.StringConcatOpExpr)
		if !ok {
			break
		}
		args = append(args, w.expr(c.Lhs))
		rest = c.Rhs
		if len(args) > maxSyntaxLevels {
			panic(tooDeep{w.line})
		}
	}
	last := w.expr(rest)
	switch l := last.(type) {
	case *ast.FuncCallExpr:
		l.AdjustRet = true
	case *ast.Comma3Expr:
		l.AdjustRet = true
	}
	return callOf(e, concatName, append(args, last)...)
}

// fields bounds the keys of a table that is written down.
func (w *rewriter) fields(t *ast.TableExpr) {
	for _, f := range t.Fields {
		f.Value = w.expr(f.Value)
		if f.Key == nil {
			continue
		}
		if _, isName := f.Key.(*ast.StringExpr); !isName {
			f.Key = callOf(t, keyName, w.expr(f.Key))
		}
	}
}

// assign makes a call of set of each assignment to a computed index. When there are
// several, the parts are evaluated into locals first, as Lua does.
func (w *rewriter) assign(s *ast.AssignStmt) ast.Stmt {
	w.exprs(s.Rhs)
	computed := len(s.Lhs) > 1 // the interpreter would not read all before it writes
	for i, l := range s.Lhs {
		a, ok := l.(*ast.AttrGetExpr)
		if !ok {
			continue
		}
		s.Lhs[i] = w.expr(a)
		if _, isName := a.Key.(*ast.StringExpr); !isName {
			computed = true
		}
	}
	if !computed {
		return s
	}
	if len(s.Lhs) == 1 && len(s.Rhs) == 1 {
		a := s.Lhs[0].(*ast.AttrGetExpr)
		return w.set(s, a.Object, a.Key, single(s.Rhs[0]))
	}
	return w.assignSeveral(s)
}

func (w *rewriter) assignSeveral(s *ast.AssignStmt) ast.Stmt {
	parts := &ast.LocalAssignStmt{}
	values := &ast.LocalAssignStmt{Exprs: s.Rhs}
	var sets []ast.Stmt
	name := func(kind byte, i int) string { return fmt.Sprintf("\x00%c%d", kind, i) }
	for i, l := range s.Lhs {
		value := name('v', i)
		values.Names = append(values.Names, value)
		a, ok := l.(*ast.AttrGetExpr)
		if !ok {
			one := &ast.AssignStmt{Lhs: []ast.Expr{l}, Rhs: []ast.Expr{ident(s, value)}}
			one.SetLine(s.Line())
			sets = append(sets, one)
			continue
		}
		parts.Names = append(parts.Names, name('t', i), name('k', i))
		parts.Exprs = append(parts.Exprs, single(a.Object), single(a.Key))
		sets = append(sets, w.set(s, ident(s, name('t', i)), ident(s, name('k', i)), ident(s, value)))
	}
	// Lua assigns from the last to the first.
	for i, j := 0, len(sets)-1; i < j; i, j = i+1, j-1 {
		sets[i], sets[j] = sets[j], sets[i]
	}
	block := &ast.DoBlockStmt{Stmts: append([]ast.Stmt{parts, values}, sets...)}
	for _, st := range []ast.Stmt{parts, values, block} {
		st.(interface{ SetLine(int) }).SetLine(s.Line())
		st.(interface{ SetLastLine(int) }).SetLastLine(s.LastLine())
	}
	return block
}

func (w *rewriter) set(at ast.PositionHolder, object, key, value ast.Expr) ast.Stmt {
	st := &ast.FuncCallStmt{Expr: callOf(at, setName, object, key, value)}
	st.SetLine(at.Line())
	st.SetLastLine(at.LastLine())
	return st
}

// single makes an expression give one value.
func single(e ast.Expr) ast.Expr {
	switch e := e.(type) {
	case *ast.FuncCallExpr:
		e.AdjustRet = true
	case *ast.Comma3Expr:
		e.AdjustRet = true
	}
	return e
}

func ident(at ast.PositionHolder, name string) ast.Expr {
	e := &ast.IdentExpr{Value: name}
	e.SetLine(at.Line())
	e.SetLastLine(at.LastLine())
	return e
}

func callOf(at ast.PositionHolder, name string, args ...ast.Expr) ast.Expr {
	e := &ast.FuncCallExpr{Func: ident(at, name), Args: args}
	e.SetLine(at.Line())
	e.SetLastLine(at.LastLine())
	return e
}
