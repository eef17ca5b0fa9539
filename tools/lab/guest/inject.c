/* inject-frame IFINDEX HEX: send one raw Ethernet frame (packet(7)).
 *
 * For tests of the firewall: the guest must be able to send what it must not.
 */
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

#include "bare.h"

static int send_frame(int ifindex, const unsigned char *frame, long size)
{
    struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = ifindex };
    long fd = call(SYS_socket, AF_PACKET, SOCK_RAW, 0, 0, 0, 0);

    if (fd < 0)
        return 3;
    return call(SYS_sendto, fd, (long)frame, size, 0, (long)&to, sizeof to) == size ? 0 : 4;
}

__attribute__((used)) void begin(long *stack)
{
    static unsigned char frame[9000];
    char **arguments = (char **)(stack + 1);

    if (stack[0] != 3)
        finish(2);
    finish(send_frame(decimal(arguments[1]), frame, unhex(arguments[2], frame, sizeof frame)));
}
