package command

import "strings"

// maxNameLen bounds the names of commands and subcommands.
const maxNameLen = 32

// groups are all rows, by the group that they belong to.
var groups = []struct {
	group Group
	rows  []*Spec
}{
	{GroupString, stringTable},
	{GroupBitmap, bitmapTable},
	{GroupHyperLogLog, hyperloglogTable},
	{GroupGeo, geoTable},
	{GroupGeneric, genericTable},
	{GroupGeneric, sortTable},
	{GroupHash, hashTable},
	{GroupList, listTable},
	{GroupList, blockingListTable},
	{GroupHash, hashExpireTable},
	{GroupSet, setTable},
	{GroupSortedSet, zsetTable},
	{GroupSortedSet, blockingZSetTable},
	{GroupStream, streamTable},
	{GroupConnection, connectionTable},
	{GroupConnection, clientTable},
	{GroupServer, serverTable},
	{GroupServer, adminTable},
	{GroupServer, moduleTable},
	{GroupServer, aclTable},
	{GroupServer, replicationTable},
	{GroupTransactions, transactionTable},
	{GroupPubSub, pubsubTable},
	{GroupCluster, clusterTable},
	{GroupCluster, clusterConnTable},
	{GroupScripting, scriptingTable},
	{GroupDKV, dkvTable},
}

var (
	all    []*Spec
	byName map[string]*Spec
)

func init() {
	byName = make(map[string]*Spec)
	for _, g := range groups {
		for _, row := range g.rows {
			add(row, g.group)
			byName[row.Name] = row
			for _, sub := range row.Subcommands {
				add(sub, g.group)
				if row.subs == nil {
					row.subs = make(map[string]*Spec)
				}
				_, name, _ := strings.Cut(sub.Name, "|")
				row.subs[name] = sub
			}
		}
	}
}

// add completes a row.
func add(s *Spec, g Group) {
	s.ID = len(all)
	if s.Group == "" {
		s.Group = g
	}
	s.Categories |= s.Flags.implied()
	if s.Categories&CatScripting != 0 {
		s.Categories &^= CatRead // a script that must not write is not a command that reads
	}
	s.FirstKey, s.LastKey, s.KeyStep = legacyKeys(s.KeySpecs)
	all = append(all, s)
}

// All returns every row, subcommands included, by ID. The slice is shared.
func All() []*Spec { return all }

// Lookup returns the command of that name, in any case, or nil. It allocates nothing.
func Lookup(name []byte) *Spec {
	var buf [maxNameLen]byte
	return byName[string(lowerName(&buf, name))]
}

// lowerName puts a name in lower case into buf; one that is too long to be in the
// table becomes empty.
func lowerName(buf *[maxNameLen]byte, name []byte) []byte {
	if len(name) > maxNameLen {
		return nil
	}
	for i, c := range name {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		buf[i] = c
	}
	return buf[:len(name)]
}
