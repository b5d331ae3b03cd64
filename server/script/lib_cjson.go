package script

import (
	"math"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// jsonOptions are what scripts can set of cjson; each script begins with the defaults.
type jsonOptions struct {
	sparseConvert   bool
	sparseRatio     int
	sparseSafe      int
	encodeDepth     int
	decodeDepth     int
	precision       int
	invalidNumbers  string // encoding them: "off" (an error), "on", "null"
	decodeAnyNumber bool
	keepBuffer      bool
}

var defaultJSON = jsonOptions{sparseRatio: 2, sparseSafe: 10, encodeDepth: 1000, decodeDepth: 1000, precision: 14,
	invalidNumbers: "off", decodeAnyNumber: true, keepBuffer: true}

// maxJSONDepth is how deep scripts may set the limits.
const maxJSONDepth = 10000

// openJSON is lua-cjson 2.1, github.com/mpx/lua-cjson.
func (s *state) openJSON() {
	s.null = s.L.NewUserData()
	t := s.open("cjson", map[string]func(frame) int{
		"encode": jsonEncode, "decode": jsonDecode, "encode_sparse_array": jsonSparse,
		"encode_max_depth":        func(f frame) int { return f.intOption(&f.s.json.encodeDepth, 1, maxJSONDepth) },
		"decode_max_depth":        func(f frame) int { return f.intOption(&f.s.json.decodeDepth, 1, maxJSONDepth) },
		"encode_number_precision": func(f frame) int { return f.intOption(&f.s.json.precision, 1, 14) },
		"encode_keep_buffer":      func(f frame) int { return f.boolOption(&f.s.json.keepBuffer) },
		"decode_invalid_numbers":  func(f frame) int { return f.boolOption(&f.s.json.decodeAnyNumber) },
		"encode_invalid_numbers":  jsonInvalidNumbers,
		"new": func(f frame) int {
			f.Push(f.s.globals.RawGetString("cjson"))
			return 1
		},
	})
	t.RawSetString("null", s.null)
	t.RawSetString("_NAME", lua.LString("cjson"))
	t.RawSetString("_VERSION", lua.LString("2.1.0"))
}

func (f frame) intOption(option *int, least, most int) int {
	if f.Get(1) != lua.LNil {
		n := f.integer(1)
		if n < least || n > most {
			f.bad(1, "expected integer between "+formatNumber(float64(least))+" and "+formatNumber(float64(most)))
		}
		*option = n
	}
	return f.pushNum(float64(*option))
}

func (f frame) boolOption(option *bool) int {
	if f.Get(1) != lua.LNil {
		*option = lua.LVAsBool(f.Get(1))
	}
	f.Push(lua.LBool(*option))
	return 1
}

func jsonInvalidNumbers(f frame) int {
	switch v := f.Get(1).(type) {
	case lua.LBool:
		f.s.json.invalidNumbers = map[lua.LBool]string{true: "on", false: "off"}[v]
	case lua.LString:
		if v != "on" && v != "off" && v != "null" {
			f.bad(1, "invalid option '"+string(v)+"'")
		}
		f.s.json.invalidNumbers = string(v)
	}
	return f.push(f.s.json.invalidNumbers)
}

func jsonSparse(f frame) int {
	o := &f.s.json
	f.boolOption(&o.sparseConvert)
	for i, option := range []*int{&o.sparseRatio, &o.sparseSafe} {
		if f.Get(i+2) != lua.LNil && i+2 <= 3 && f.GetTop() > i+1 {
			if n, ok := f.Get(i + 2).(lua.LNumber); ok && n >= 0 {
				*option = toInt(float64(n))
			}
		}
	}
	f.SetTop(0)
	f.Push(lua.LBool(o.sparseConvert))
	f.pushNum(float64(o.sparseRatio))
	f.pushNum(float64(o.sparseSafe))
	return 3
}

func jsonEncode(f frame) int {
	if f.GetTop() != 1 {
		f.bad(1, "expected 1 argument")
	}
	e := encoder{f: f, o: f.s.json}
	e.value(f.Get(1), 0)
	return f.push(string(e.b))
}

// An encoder writes JSON.
type encoder struct {
	f frame
	o jsonOptions
	b []byte
}

func (e *encoder) refuse(v lua.LValue, why string) {
	e.f.fail("Cannot serialise %s: %s", v.Type().String(), why)
}

func (e *encoder) value(v lua.LValue, depth int) {
	e.f.spend(1)
	before := len(e.b)
	switch v := v.(type) {
	case lua.LString:
		e.text(string(v))
	case lua.LNumber:
		e.number(float64(v))
	case lua.LBool:
		e.b = append(e.b, v.String()...)
	case *lua.LTable:
		e.table(e.f.s.behind(v), depth+1)
		return // it has charged for itself
	default:
		if v != lua.LNil && v != lua.LValue(e.f.s.null) {
			e.refuse(v, "type not supported")
		}
		e.b = append(e.b, "null"...)
	}
	e.f.charge(len(e.b) - before)
}

func (e *encoder) number(n float64) {
	if math.IsNaN(n) || math.IsInf(n, 0) {
		switch e.o.invalidNumbers {
		case "off":
			e.refuse(lua.LNumber(n), "must not be NaN or Inf")
		case "null":
			e.b = append(e.b, "null"...)
			return
		}
	}
	if n != n {
		n = math.NaN() // without a sign
	}
	e.b = appendG(e.b, n, e.o.precision)
}

const hexDigits = "0123456789abcdef"

func (e *encoder) text(str string) {
	e.f.spend(len(str) / 8)
	b := append(e.b, '"')
	for i := range len(str) {
		switch c := str[i]; {
		case c == '"' || c == '\\' || c == '/':
			b = append(b, '\\', c)
		case c >= ' ' && c != 127:
			b = append(b, c)
		case strings.IndexByte("\b\t\n\f\r", c) >= 0:
			b = append(b, '\\', "btn_fr"[c-'\b'])
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	e.b = append(b, '"')
}

func (e *encoder) table(t *lua.LTable, depth int) {
	if depth > e.o.encodeDepth {
		e.f.fail("Cannot serialise, excessive nesting (%d)", depth)
	}
	if n := e.arrayLen(t); n > 0 {
		e.b = append(e.b, '[')
		for i := 1; i <= n; i++ {
			if i > 1 {
				e.b = append(e.b, ',')
			}
			e.value(t.RawGet(lua.LNumber(i)), depth)
		}
		e.b = append(e.b, ']')
		e.f.charge(n + 2)
		return
	}
	e.object(t, depth)
}

func (e *encoder) object(t *lua.LTable, depth int) {
	e.b = append(e.b, '{')
	first := true
	for k, v := t.Next(lua.LNil); k != lua.LNil; k, v = t.Next(k) {
		if !first {
			e.b = append(e.b, ',')
		}
		first = false
		before := len(e.b)
		switch k := k.(type) {
		case lua.LNumber:
			e.b = append(e.b, '"')
			e.number(float64(k))
			e.b = append(e.b, '"')
		case lua.LString:
			e.text(string(k))
		default:
			e.refuse(k, "table key must be a number or string")
		}
		e.f.charge(len(e.b) - before + 2)
		e.b = append(e.b, ':')
		e.value(v, depth)
	}
	e.b = append(e.b, '}')
	e.f.charge(2)
}

// arrayLen returns the highest key of a table whose keys are all positive integers,
// -1 for others.
func (e *encoder) arrayLen(t *lua.LTable) int {
	most, count := 0.0, 0
	array := true
	steps := 0
	t.ForEach(func(k, _ lua.LValue) {
		steps++
		n, ok := k.(lua.LNumber)
		if !ok || float64(n) != math.Trunc(float64(n)) || n < 1 {
			array = false
			return
		}
		most = max(most, float64(n))
		count++
	})
	e.f.spend(steps)
	if !array {
		return -1
	}
	if e.o.sparseRatio > 0 && most > float64(count*e.o.sparseRatio) && most > float64(e.o.sparseSafe) {
		if !e.o.sparseConvert {
			e.refuse(t, "excessively sparse array")
		}
		return -1
	}
	return toInt(most)
}
