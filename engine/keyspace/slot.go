package keyspace

import "bytes"

// SlotCount is the number of hash slots, as in Redis Cluster.
const SlotCount = 16384

// Slot is a hash slot, below SlotCount.
type Slot uint16

// SlotOf returns the slot of a key: CRC16 of its hash tag, or of the whole key
// when it has none (https://redis.io/docs/reference/cluster-spec/).
func SlotOf(key []byte) Slot {
	return Slot(crc16(hashTag(key)) % SlotCount)
}

// hashTag returns what stands between the first '{' and the first '}' after it,
// when that is not empty; otherwise the key.
func hashTag(key []byte) []byte {
	open := bytes.IndexByte(key, '{')
	if open < 0 {
		return key
	}
	if n := bytes.IndexByte(key[open+1:], '}'); n > 0 {
		return key[open+1 : open+1+n]
	}
	return key
}

// crcTables hold the CRC16 (XMODEM: polynomial 0x1021, nothing reflected) of each
// byte followed by 0 to 7 zero bytes, so that eight bytes are eight independent
// loads instead of a chain of eight.
var crcTables = makeCRCTables()

func makeCRCTables() *[8][256]uint16 {
	var t [8][256]uint16
	for i := range 256 {
		crc := uint16(i) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
		t[0][i] = crc
	}
	for n := 1; n < 8; n++ {
		for i := range 256 {
			prev := t[n-1][i]
			t[n][i] = prev<<8 ^ t[0][prev>>8]
		}
	}
	return &t
}

func crc16(p []byte) uint16 {
	t := crcTables
	var crc uint16
	for len(p) >= 8 {
		b := p[:8:8]
		crc = t[7][b[0]^byte(crc>>8)] ^ t[6][b[1]^byte(crc)] ^ t[5][b[2]] ^ t[4][b[3]] ^
			t[3][b[4]] ^ t[2][b[5]] ^ t[1][b[6]] ^ t[0][b[7]]
		p = p[8:]
	}
	for _, b := range p {
		crc = crc<<8 ^ t[0][byte(crc>>8)^b]
	}
	return crc
}
