/* What a program without any C library needs: where it starts, and the way into the kernel.
 *
 * A static C library would double the size of the guest's ramdisk, and with it the time to boot.
 */
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

/* The compiler itself calls these two. */
void *memcpy(void *to, const void *from, unsigned long size)
{
    for (unsigned long i = 0; i < size; i++)
        ((volatile unsigned char *)to)[i] = ((const unsigned char *)from)[i];
    return to;
}

void *memset(void *to, int value, unsigned long size)
{
    for (unsigned long i = 0; i < size; i++)
        ((volatile unsigned char *)to)[i] = (unsigned char)value;
    return to;
}

static int decimal(const char *text)
{
    int value = 0;

    while (*text)
        value = value * 10 + (*text++ - '0');
    return value;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

/* Pairs of hexadecimal digits, with or without colons between them; the number of bytes. */
static long unhex(const char *text, unsigned char *to, long room)
{
    long size = 0;

    while (text[0] && text[1] && size < room) {
        if (*text == ':') {
            text++;
            continue;
        }
        to[size++] = (unsigned char)(digit(text[0]) << 4 | digit(text[1]));
        text += 2;
    }
    return size;
}

static void finish(int status)
{
    call(SYS_exit, status, 0, 0, 0, 0, 0);
    __builtin_unreachable();
}
