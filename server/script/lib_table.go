package script

import (
	"sort"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

func (s *state) openTable() {
	s.open("table", map[string]func(frame) int{
		"concat": tableConcat, "foreach": tableForeach, "foreachi": tableForeachi, "getn": tableGetn,
		"insert": tableInsert, "maxn": tableMaxn, "remove": tableRemove, "setn": tableSetn, "sort": tableSort,
	})
}

func tableConcat(f frame) int {
	t := f.s.behind(f.table(1))
	sep := f.optStr(2, "")
	from := f.optInt(3, 1)
	to := t.Len()
	if f.Get(4) != lua.LNil {
		to = f.integer(4)
	}
	var b strings.Builder
	for i := from; i <= to; i++ {
		v := t.RawGet(lua.LNumber(i))
		if !isText(v) {
			f.fail("invalid value (%s) at index %d in table for 'concat'", v.Type().String(), i)
		}
		str := text(v)
		f.spend(1)
		f.charge(len(str) + len(sep))
		b.WriteString(str)
		if i < to {
			b.WriteString(sep)
		}
	}
	return f.push(b.String())
}

func tableForeach(f frame) int {
	t := f.s.behind(f.table(1))
	fn := f.callable(2)
	for k, v := t.Next(lua.LNil); k != lua.LNil; k, v = t.Next(k) {
		if f.visit(fn, k, v) {
			return 1
		}
	}
	return 0
}

func tableForeachi(f frame) int {
	t := f.s.behind(f.table(1))
	fn := f.callable(2)
	for i := 1; i <= t.Len(); i++ {
		if f.visit(fn, lua.LNumber(i), t.RawGetInt(i)) {
			return 1
		}
	}
	return 0
}

// visit calls fn with a key and a value; what it returns, unless that is nil, is left
// on the stack.
func (f frame) visit(fn, k, v lua.LValue) bool {
	f.spend(1)
	f.Push(fn)
	f.Push(k)
	f.Push(v)
	f.Call(2, 1)
	if f.Get(-1) != lua.LNil {
		return true
	}
	f.Pop(1)
	return false
}

func (f frame) callable(i int) lua.LValue {
	if f.Get(i).Type() != lua.LTFunction {
		f.expected(i, "function")
	}
	return f.Get(i)
}

func tableGetn(f frame) int { return f.pushNum(float64(f.s.behind(f.table(1)).Len())) }

func tableMaxn(f frame) int {
	most := lua.LNumber(0)
	f.s.behind(f.table(1)).ForEach(func(k, _ lua.LValue) {
		if n, ok := k.(lua.LNumber); ok && n > most {
			most = n
		}
	})
	f.Push(most)
	return 1
}

func tableSetn(f frame) int {
	f.table(1)
	f.fail("'setn' is obsolete")
	return 0
}

func tableInsert(f frame) int {
	t := f.mutable(1)
	n := t.Len()
	switch f.GetTop() {
	case 2:
		f.s.rawSet(f.LState, t, lua.LNumber(n+1), f.Get(2))
	case 3:
		at := f.integer(2)
		if at >= 1 && at <= n && n < maxArrayIndex-1 {
			f.spend(n - at)
			t.Insert(at, f.Get(3))
			break
		}
		f.s.rawSet(f.LState, t, lua.LNumber(at), f.Get(3))
	default:
		f.fail("wrong number of arguments to 'insert'")
	}
	return 0
}

func tableRemove(f frame) int {
	t := f.mutable(1)
	n := t.Len()
	at := f.optInt(2, n)
	if at < 1 || at > n {
		return 0
	}
	f.spend(n - at)
	v := t.RawGetInt(at)
	t.Remove(at)
	f.Push(v)
	return 1
}

// tableSort sorts a copy, so that a comparison which fails, or changes the table,
// leaves it whole.
func tableSort(f frame) int {
	t := f.mutable(1)
	var less lua.LValue
	if f.Get(2) != lua.LNil {
		less = f.callable(2)
	}
	n := t.Len()
	f.charge(valueBytes * n)
	o := order{frame: f, less: less, values: make([]lua.LValue, n)}
	for i := range o.values {
		o.values[i] = t.RawGetInt(i + 1)
	}
	sort.Sort(&o)
	for i, v := range o.values {
		t.RawSetInt(i+1, v)
	}
	return 0
}

// order sorts values by a function, or as "<" does.
type order struct {
	frame
	less   lua.LValue
	values []lua.LValue
}

func (o *order) Len() int      { return len(o.values) }
func (o *order) Swap(i, j int) { o.values[i], o.values[j] = o.values[j], o.values[i] }

func (o *order) Less(i, j int) bool {
	a, b := o.values[i], o.values[j]
	if o.less != nil {
		o.Push(o.less)
		o.Push(a)
		o.Push(b)
		o.Call(2, 1)
		yes := lua.LVAsBool(o.Get(-1))
		o.Pop(1)
		return yes
	}
	o.spend(1)
	if a.Type() != b.Type() {
		o.s.raise(o.LState, lua.LString("attempt to compare "+a.Type().String()+" with "+b.Type().String()))
	}
	return o.LessThan(a, b)
}
