/* ask6 IFINDEX MAC WHAT: ask on one card how IPv6 is done there, and print the answer as one line
 * of KEY=VALUE words. Exit status: 0 an answer, 1 none.
 *
 *   router   a router solicitation (RFC 4861):
 *            router=fe80::1 lifetime=1800 managed=0 other=64 dns6=...
 *   dns      a DHCPv6 information request (RFC 8415): dns6=2001:db8::53,2001:db8::54
 *   address  DHCPv6 from solicit to reply: address6=fd00::7 dns6=...
 *
 * BusyBox has no DHCPv6 client, and the kernel keeps what an announcement says of DHCPv6 and DNS
 * to itself.
 */
#include <linux/icmpv6.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <sys/socket.h>

#include "bare.h"

enum { SOLICIT = 1, ADVERTISE = 2, REQUEST = 3, REPLY = 7, INFORMATION = 11 };
enum { CLIENT_ID = 1, SERVER_ID = 2, IA_NA = 3, IA_ADDRESS = 5, ORO = 6, ELAPSED = 8, DNS = 23 };
enum { ROUTER_SOLICITATION = 133, ROUTER_ADVERTISEMENT = 134, RA_DNS = 25, RA_HEADER = 16 };
/* A router may not be there at all; a link may take a second before it has an address to send from;
 * a server that a router spoke of will answer. */
enum { ROUTER_TRIES = 3, SERVER_TRIES = 10, LINK_TRIES = 20, WAIT_US = 200000, LINK_US = 80000 };
enum { BIND_TO_IFINDEX = 62 }; /* SO_BINDTOIFINDEX */

struct message {
    long size;
    unsigned char bytes[1500];
};

static char line[1500];
static long length;

static void say(const char *text)
{
    while (*text)
        line[length++] = *text++;
}

static void say_number(unsigned long value, unsigned base)
{
    if (value >= base)
        say_number(value / base, base);
    line[length++] = "0123456789abcdef"[value % base];
}

/* As the kernel prints it (RFC 5952): the first longest run of zeros is "::". */
static void say_address(const unsigned char *address)
{
    int best = 8, longest = 1, run = 0;

    for (int i = 0; i < 8; i++) {
        run = address[2 * i] || address[2 * i + 1] ? 0 : run + 1;
        if (run > longest) {
            longest = run;
            best = i + 1 - run;
        }
    }
    for (int i = 0; i < 8; i++) {
        if (i == best) {
            say("::");
            i += longest - 1;
            continue;
        }
        say(i == 0 || i == best + longest ? "" : ":");
        say_number((unsigned long)(address[2 * i] << 8 | address[2 * i + 1]), 16);
    }
}

static void say_addresses(const char *key, const unsigned char *addresses, long size)
{
    say(key);
    for (long at = 0; at + 16 <= size; at += 16) {
        say(at ? "," : "");
        say_address(addresses + at);
    }
}

static long open_socket(int ifindex, int type, int protocol, int port)
{
    struct sockaddr_in6 here = { .sin6_family = AF_INET6, .sin6_port = __builtin_bswap16(port) };
    long wait[2] = { 0, WAIT_US };
    int hops = 255; /* RFC 4861: what came over a router does not count */
    long fd = call(SYS_socket, AF_INET6, type, protocol, 0, 0, 0);

    call(SYS_setsockopt, fd, SOL_SOCKET, BIND_TO_IFINDEX, (long)&ifindex, sizeof ifindex, 0);
    call(SYS_setsockopt, fd, SOL_SOCKET, SO_RCVTIMEO, (long)wait, sizeof wait, 0);
    call(SYS_setsockopt, fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, (long)&hops, sizeof hops, 0);
    call(SYS_bind, fd, (long)&here, sizeof here, 0, 0, 0);
    return fd;
}

static int send_to(long fd, const struct sockaddr_in6 *to, const struct message *question)
{
    long pause[2] = { 0, LINK_US * 1000 };

    for (int attempt = 0; attempt < LINK_TRIES; attempt++) {
        if (call(SYS_sendto, fd, (long)question->bytes, question->size, 0, (long)to,
                 sizeof *to) >= 0)
            return 1;
        call(SYS_nanosleep, (long)pause, 0, 0, 0, 0, 0);
    }
    return 0;
}

/* Send until an answer of the WANTED kind comes; where from is put into PEER. */
static int exchange(long fd, struct sockaddr_in6 *peer, const struct message *question,
                    struct message *answer, int wanted, int tries)
{
    const struct sockaddr_in6 to = *peer;
    int size;

    while (tries--) {
        if (!send_to(fd, &to, question))
            return 0;
        do {
            size = sizeof *peer;
            answer->size = call(SYS_recvfrom, fd, (long)answer->bytes, sizeof answer->bytes, 0,
                                (long)peer, (long)&size);
            if (answer->size > 4 && answer->bytes[0] == wanted)
                return 1;
        } while (answer->size > 0);
    }
    return 0;
}

/* --- router announcements ----------------------------------------------------------- */

static int ask_router(int ifindex)
{
    static struct message question = { 8, { ROUTER_SOLICITATION } }, answer;
    struct sockaddr_in6 peer = { .sin6_family = AF_INET6, .sin6_scope_id = ifindex };
    long fd = open_socket(ifindex, SOCK_RAW, IPPROTO_ICMPV6, 0);
    const unsigned char *bytes = answer.bytes;

    unhex("ff020000000000000000000000000002", peer.sin6_addr.s6_addr, 16);
    if (!exchange(fd, &peer, &question, &answer, ROUTER_ADVERTISEMENT, ROUTER_TRIES))
        return 1;
    say_addresses("router=", peer.sin6_addr.s6_addr, 16);
    say(" lifetime=");
    say_number(bytes[6] << 8 | bytes[7], 10);
    say(" managed=");
    say_number(bytes[5] & 0x80, 10);
    say(" other=");
    say_number(bytes[5] & 0x40, 10);
    for (long at = RA_HEADER; at + 8 <= answer.size && bytes[at + 1]; at += 8 * bytes[at + 1])
        if (bytes[at] == RA_DNS)
            say_addresses(" dns6=", bytes + at + 8, 8 * bytes[at + 1] - 8);
    return 0;
}

/* --- DHCPv6 ------------------------------------------------------------------------- */

static void add_option(struct message *to, int code, const unsigned char *value, long size)
{
    unsigned char *at = to->bytes + to->size;

    at[0] = 0;
    at[1] = (unsigned char)code;
    at[2] = 0;
    at[3] = (unsigned char)size;
    memcpy(at + 4, value, size);
    to->size += 4 + size;
}

/* The value of the first option CODE between AT and END, its size in SIZE; or null. */
static const unsigned char *find_option(const unsigned char *at, const unsigned char *end,
                                        int code, long *size)
{
    for (; at + 4 <= end; at += 4 + *size) {
        *size = at[2] << 8 | at[3];
        if (at + 4 + *size > end)
            break;
        if ((at[0] << 8 | at[1]) == code)
            return at + 4;
    }
    *size = 0;
    return 0;
}

static void copy_option(struct message *to, const struct message *from, int code)
{
    long size;
    const unsigned char *value = find_option(from->bytes + 4, from->bytes + from->size, code, &size);

    if (value)
        add_option(to, code, value, size);
}

static void start_message(struct message *to, int kind, const char *mac)
{
    static const unsigned char none[2], wanted[2] = { 0, DNS };
    unsigned char duid[10] = { 0, 3, 0, 1 }; /* of the link-layer address: RFC 8415, 11.4 */

    to->size = 4;
    to->bytes[0] = (unsigned char)kind;
    unhex(mac + 9, to->bytes + 1, 3); /* the transaction's id: of this card, and of one at a time */
    unhex(mac, duid + 4, 6);
    add_option(to, CLIENT_ID, duid, sizeof duid);
    add_option(to, ORO, wanted, sizeof wanted);
    add_option(to, ELAPSED, none, sizeof none);
}

/* Solicit, and make of the best offer, which is the first, the QUESTION that asks for it. */
static int ask_for_offer(long fd, struct sockaddr_in6 peer, const char *mac,
                         struct message *question)
{
    static const unsigned char association[12] = { 0, 0, 0, 1 };
    static struct message offer;

    start_message(question, SOLICIT, mac);
    add_option(question, IA_NA, association, sizeof association);
    if (!exchange(fd, &peer, question, &offer, ADVERTISE, SERVER_TRIES))
        return 0;
    start_message(question, REQUEST, mac);
    copy_option(question, &offer, SERVER_ID);
    copy_option(question, &offer, IA_NA);
    return 1;
}

static int say_leased(const struct message *reply)
{
    long size;
    const unsigned char *value, *end = reply->bytes + reply->size;

    value = find_option(reply->bytes + 4, end, IA_NA, &size);
    if (!value || size < 12)
        return 0;
    value = find_option(value + 12, value + size, IA_ADDRESS, &size);
    if (!value || size < 16)
        return 0;
    say_addresses("address6=", value, 16);
    say(" ");
    return 1;
}

static int ask_server(int ifindex, const char *mac, int address)
{
    static struct message question, answer;
    struct sockaddr_in6 peer = {
        .sin6_family = AF_INET6, .sin6_port = __builtin_bswap16(547), .sin6_scope_id = ifindex
    };
    long fd = open_socket(ifindex, SOCK_DGRAM, 0, 546), size;
    const unsigned char *dns;

    unhex("ff020000000000000000000000010002", peer.sin6_addr.s6_addr, 16);
    start_message(&question, INFORMATION, mac);
    if (address && !ask_for_offer(fd, peer, mac, &question))
        return 1;
    if (!exchange(fd, &peer, &question, &answer, REPLY, SERVER_TRIES))
        return 1;
    if (address && !say_leased(&answer))
        return 1;
    dns = find_option(answer.bytes + 4, answer.bytes + answer.size, DNS, &size);
    if (dns)
        say_addresses("dns6=", dns, size);
    return 0;
}

__attribute__((used)) void begin(long *stack)
{
    char **arguments = (char **)(stack + 1);
    int ifindex, status;

    if (stack[0] != 4)
        finish(2);
    ifindex = decimal(arguments[1]);
    if (arguments[3][0] == 'r')
        status = ask_router(ifindex);
    else
        status = ask_server(ifindex, arguments[2], arguments[3][0] == 'a');
    if (status == 0) {
        say("\n");
        call(SYS_write, 1, (long)line, length, 0, 0, 0);
    }
    finish(status);
}
