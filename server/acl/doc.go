// Package acl says who may do what: users with passwords, and rules about commands,
// keys and channels, as https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl
// describes them for Redis 7.2.
//
// A User is never changed once others can see it: Parser.Set returns another one, or an
// error and nothing else. User.Check is asked before each command; for a user with all
// rights it looks at one bool, and it allocates nothing as long as a command has few keys.
//
//	u, err := parser.Set(acl.NewUser("ann", false), []string{"on", ">secret", "~cache:*", "+@read"})
//	if why, arg := u.Check(spec, args); why != acl.Allowed {
//		return acl.Message(why, u, spec, args[arg], false)
//	}
//
// The package knows no server. Which users there are, where they are kept and what is logged
// is package server's.
package acl
