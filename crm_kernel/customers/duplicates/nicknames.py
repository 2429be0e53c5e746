"""Short and pet forms of given names, English and French: who is Bob may be Robert."""

from __future__ import annotations

#: One group per line; a form may stand in several groups (Alex is Alexander and Alexandra).
_GROUPS = """
abigail abby abbie gail
abraham abe
adelaide addie heidi adele
agnes aggie nessie
albert al bert bertie
alexander alex al sandy xander sasha alec alexandre
alexandra alex sandra sandy sasha lexie
alfred alf fred freddie alfie
alice ali ally
alison ali ally allie
amanda mandy
amelia amy millie mel
andrew andy drew
anne annie ann nan nancy anna hannah anouk
annabelle belle bella anna
anthony tony antony ant antoine
archibald archie
arthur art arty
augustus gus augustin auguste
barbara babs barb barbie
beatrice bea trixie beatrix
benedict ben benny benoit
benjamin ben benny benji
bernard bernie
bradley brad
bridget biddy bridie brigitte
brian bryan bryn
caroline carol carrie lina caro carolyn
catherine cathy cate kate katie kathy kitty cat kay kathryn katherine kath karen
cecilia cissy cecile celia
charles charlie chuck chas chaz charly
charlotte charlie lottie carly
chloe clo
christian chris
christina chris tina christine chrissie christie kirsty
christopher chris kit topher kris christophe
clara clare claire
clifford cliff
cynthia cindy
daniel dan danny dani
danielle dani
david dave davey davy
deborah deb debbie debby
dennis den denny denis
derek rick
dominic dom dominique nick
donald don donny
dorothy dot dottie dolly dora
douglas doug
edmund ed eddie ted
edward ed eddie ted teddy ned edouard
edwin ed eddie
eleanor ellie nell nora ella leonor
elizabeth liz lizzie beth betty bess eliza elsie libby lisa elisabeth eli betsy babette
emily em emmy millie emilie
emma em emmy
ernest ernie
esther essie
eugene gene
evelyn eve evie
ferdinand ferdie fernand
florence flo florrie
frances fran fanny frankie francoise
francis frank fran frankie francois
frederick fred freddie freddy fritz frederic
gabriel gabe gaby
gabrielle gaby gabby
geoffrey geoff jeff jeffrey geoffroy
georgina georgie gina georgia
gerald gerry jerry gerard
gertrude trudy gertie
gilbert bert gil
gordon gordie
grace gracie
gregory greg gregoire
gwendolyn gwen
harold harry hal
harriet hattie harriett
helen nell nellie ellen helene lena
henry harry hank hal henri
herbert bert herb
howard howie
hubert bert hugh
isabella bella izzy isabel belle isabelle isa
jacob jake jack
jacqueline jackie jacky jacquie
james jim jimmy jamie jem jimbo
janet jan jenny
jasmine jas jazz
jean jeanne jeannie
jennifer jen jenny jenna jennie
jeremy jerry jem jeremie
jessica jess jessie
joan joanie jo
joanna jo joanne
john jack johnny jon johnnie
jonathan jon jonny nathan johnny
joseph joe joey jo
josephine jo josie fifi
joshua josh
judith judy jude
julia julie jules
julian jules julien
katherine kate kathy katie kay kit
kenneth ken kenny
kimberly kim kimberley
laura laurie lori
laurence larry laurie lawrence loz laurent
leonard len lenny leo
leopold leo
lillian lily lilly
louis lou louie lewis
louise lou lulu louisa
lucas luke luc lukas
lucy lu lucille lucie
madeleine maddie maddy madeline madelyn
marcus marc mark
margaret maggie meg peggy madge greta daisy marge margie rita marguerite margot
maria mary marie mia
martha marty mattie
martin marty
mary molly polly may marie mamie
mathilda tilly matty matilda mathilde
matthew matt matty mat matthieu mathieu
maurice mo maury
maximilian max maxime
maxwell max
melissa mel missy
michael mike mick micky mikey mickey mitch michel
michaela mickey kayla
michelle shelly micky
mitchell mitch
mohammed mo mohamed muhammad mohammad
natalie nat nathalie
natasha tasha nat
nathaniel nat nate nathan
nicholas nick nicky nico nicolas
nicole nicky nikki
norman norm
oliver ollie olly olivier
olivia liv livvy olive
oscar ozzie
pamela pam
patricia pat patty tricia trish patsy
patrick pat paddy rick
penelope penny
peter pete pierre
philip phil pip philippe phillip
philippa pippa pip
rachel rach rachael
raymond ray
rebecca becky becca bec
reginald reg reggie
richard dick rick richie ricky rich dickie
robert bob bobby rob robbie bert robin
roderick rod roddy
rodney rod
roger rog
ronald ron ronnie
rosemary rose rosie romy
russell russ
samantha sam sammy
samuel sam sammy
sandra sandy
sarah sally sadie sara
sebastian seb bastian bas sebastien
shirley shirl
sidney sid sydney
simon si
sophia sophie soph
stanley stan
stephanie steph stef steffi
stephen steve stevie steven ste stephane etienne
stuart stu stewart
susan sue susie suzy suzanne susannah sukie
sylvester sly syl
tabitha tabby
terence terry
teresa terry tess tessa theresa therese
theodore ted teddy theo
thomas tom tommy thom
timothy tim timmy timothee
valerie val
vanessa nessa
veronica ronnie vera veronique
victor vic
victoria vicky tori vic vicki
vincent vince vinnie vin
virginia ginny ginger virginie
vivian viv vivienne
walter walt wally
wendy gwen
wilfred wilf will fred
william will bill billy willie wills liam guillaume
winifred winnie freda
zachary zach zac zack zachariah
"""


def _forms() -> dict[str, frozenset[int]]:
    found: dict[str, set[int]] = {}
    for number, line in enumerate(_GROUPS.split("\n")):
        for form in line.split():
            found.setdefault(form, set()).add(number)
    return {form: frozenset(groups) for form, groups in found.items()}


_FORMS = _forms()
_NONE: frozenset[int] = frozenset()


def are_forms_of_one_name(first: str, second: str) -> bool:
    """Say whether two folded given names are forms of one: ``bob`` and ``robert``, ``bob`` and ``rob``."""
    return not _FORMS.get(first, _NONE).isdisjoint(_FORMS.get(second, _NONE))
