package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"
	"unicode/utf8"
)

// appendJSON appends r as one JSON value.
//
//	string, status   "text"; bytes that are no UTF-8: {"base64":"..."}
//	integer, double  a number; what JSON cannot say ("inf", "nan"): a string
//	nil, boolean     null, true, false
//	error            {"error":"ERR ..."}
//	array, set       [...]
//	map              {...} in the server's order; [[key,value],...] when a key is no text
//
// A map is kept in order and a number as the server wrote it, which is why
// this does not go through encoding/json and Go maps.
func appendJSON(dst []byte, r *reply) []byte {
	switch r.kind {
	case kindInt:
		return strconv.AppendInt(dst, r.num, 10)
	case kindNil:
		return append(dst, "null"...)
	case kindBool:
		return strconv.AppendBool(dst, r.num != 0)
	case kindDouble:
		f, err := strconv.ParseFloat(string(r.str), 64)
		if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
			return appendJSONString(dst, r.str)
		}
		return strconv.AppendFloat(dst, f, 'g', -1, 64)
	case kindBigNum:
		if isDigits(r.str) {
			return append(dst, r.str...)
		}
		return appendJSONString(dst, r.str)
	case kindError:
		dst = appendJSONString(append(dst, `{"error":`...), r.str)
		return append(dst, '}')
	case kindMap:
		return appendJSONMap(dst, r)
	case kindArray, kindSet, kindPush:
		dst = append(dst, '[')
		for i := range r.elems {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendJSON(dst, &r.elems[i])
		}
		return append(dst, ']')
	}
	return appendJSONString(dst, r.str)
}

func appendJSONMap(dst []byte, r *reply) []byte {
	open, colon, end := "{", ":", "}"
	if !textKeys(r) {
		open, colon, end = "[[", ",", "]]"
	}
	if len(r.elems) == 0 {
		return append(dst, "{}"...)
	}
	sep := ","
	if open == "[[" {
		sep = "],["
	}
	dst = append(dst, open...)
	for i := 0; i+1 < len(r.elems); i += 2 {
		if i > 0 {
			dst = append(dst, sep...)
		}
		dst = append(appendJSON(dst, &r.elems[i]), colon...)
		dst = appendJSON(dst, &r.elems[i+1])
	}
	return append(dst, end...)
}

// textKeys reports whether every key of map r can be a JSON object's.
func textKeys(r *reply) bool {
	for i := 0; i < len(r.elems); i += 2 {
		k := &r.elems[i]
		if k.kind != kindBulk && k.kind != kindStatus || !utf8.Valid(k.str) {
			return false
		}
	}
	return true
}

func appendJSONString(dst, s []byte) []byte {
	if !utf8.Valid(s) {
		dst = append(dst, `{"base64":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, s)
		return append(dst, `"}`...)
	}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(string(s)); err != nil { // a string always encodes
		return append(dst, `""`...)
	}
	return append(dst, bytes.TrimSuffix(text.Bytes(), []byte("\n"))...)
}

// isDigits reports whether s is a whole number as JSON writes it.
func isDigits(s []byte) bool {
	if len(s) > 0 && s[0] == '-' {
		s = s[1:]
	}
	if len(s) == 0 || s[0] == '0' && len(s) > 1 {
		return false
	}
	for _, c := range s {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
