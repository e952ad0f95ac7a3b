# What a node loads over PXE here: it says so on the serial console, and that is all. Firmware starts it at 0x7c00.
.code16
.globl _start
_start:
    xorw %ax, %ax
    movw %ax, %ds
    movw $text, %si
    cld
next:
    lodsb
    testb %al, %al
    jz done
    movb %al, %ah
    movw $0x3fd, %dx
busy:
    inb %dx, %al
    testb $0x20, %al
    jz busy
    movb %ah, %al
    movw $0x3f8, %dx
    outb %al, %dx
    jmp next
done:
    hlt
    jmp done
text:
    .asciz "\r\nbooted from the network\r\n"
