/* inject-frame IFINDEX HEX: send one raw Ethernet frame (packet(7)).
 *
 * For tests of the firewall: the guest must be able to send what it must not.
 * No C library: a static one would double the size of the guest's ramdisk.
 */
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/socket.h>
#include <sys/syscall.h>

__asm__(".globl _start\n_start: mov %rsp, %rdi\n and $-16, %rsp\n call begin\n");

static long call(long number, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

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
    int status = 2, ifindex = 0;
    long size = 0;

    if (stack[0] == 3) {
        for (char *c = arguments[1]; *c; c++)
            ifindex = ifindex * 10 + (*c - '0');
        for (char *c = arguments[2]; c[0] && c[1] && size < (long)sizeof frame; c += 2)
            frame[size++] = (unsigned char)(digit(c[0]) << 4 | digit(c[1]));
        status = send_frame(ifindex, frame, size);
    }
    call(SYS_exit, status, 0, 0, 0, 0, 0);
    __builtin_unreachable();
}
